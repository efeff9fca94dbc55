// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to variables are what these files hold
import { expect, setDefaultTimeout, test } from 'bun:test'
import { complaints, loadText } from '#tests/support/config-texts.ts'

setDefaultTimeout(30_000)

/** A broken file, and everything that is said about it. */
type Broken = readonly [text: string, ...said: string[]]

const syntax: Broken[] = [
  ['service:\n\tport: 1', 'gateway.yaml:2:1  tabs cannot indent; use spaces'],
  ['service:\n    port: 1\n  host: a', 'gateway.yaml:3:1  is indented unlike its neighbours'],
  ['service: { port: 1\ngateway: {}', 'gateway.yaml:2:1  a bracket or brace that was opened before is not closed'],
  ['servers: [\n', 'gateway.yaml:2:1  a bracket or brace that was opened before is not closed'],
  ['servers:\n  - id: a\n   kind: demo', 'gateway.yaml:3:1  is indented unlike its neighbours'],
  [
    'servers:\n  - id: a\n      kind: demo',
    'gateway.yaml:2:9  the line below is indented too far: a key has a value or keys below it, not both',
  ],
  [
    'service:\n  host: a\n    port: 1',
    'gateway.yaml:2:9  the line below is indented too far: a key has a value or keys below it, not both',
  ],
  ['service:\n  name: a: b', 'gateway.yaml:2:9  holds a second ": "; write the value in quotes or on lines of its own'],
  [
    'servers:\n  - { id: a kind: demo }',
    'gateway.yaml:2:11  a comma is missing between two entries, or a closing bracket or brace',
  ],
  [
    'service:\n  port:8000\n  host: a',
    'gateway.yaml:2:3  a key lacks its ": ", with the space, or a line is indented too little',
  ],
  [
    'gateway:\n  default_model: @x',
    'gateway.yaml:2:18  starts with a character that has a meaning of its own; write the value in quotes',
  ],
  ['gateway:\n  default_model: *x', 'gateway.yaml:2:18  gateway.default_model: no anchor is called "x"'],
  ['gateway:\n  default_model: !secret x', 'gateway.yaml:2:18  tags ("!") are not supported'],
  [
    'service: { name: ${NAME} }',
    'gateway.yaml:1:19  a variable between brackets or braces needs quotes, such as "${VAR}"',
  ],
  ['service: {}\n---\nservice: {}', 'gateway.yaml:2:1  holds more than one document; keep one'],
  ['- service', 'gateway.yaml:1:1  expected sections such as "service:", got something else'],
  ['service', 'gateway.yaml:1:1  expected sections such as "service:", got something else'],
  [
    'service:\n  port: 1\n  host: a\n  port: 2',
    'gateway.yaml:4:3  service.port: is set twice; the first time is on line 2',
  ],
  ['service:\n  name: "sk-secret', 'gateway.yaml:2:9  the quote that opens here is not closed'],
  [
    'service:\n  name: "a"\n  host: \'b\n  port: 1\nmodels:\n',
    'gateway.yaml:3:9  the quote that opens here is not closed',
  ],
  [
    'a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: [*d, *d, *d, *d]',
    'gateway.yaml:1:1  is nested too deeply, or its aliases stand for too much',
  ],
  ['__proto__: { x: 1 }', 'gateway.yaml:1:1  __proto__: cannot be a key'],
  ['? [service]\n: { port: 1 }', 'gateway.yaml:1:3  ?: cannot be a key'],
  ['service:\n  : 1', 'gateway.yaml:2:3  service.?: cannot be a key'],
  [
    'service:\n  name: ${na me}',
    'gateway.yaml:2:9  service.name: cannot read a reference; write ${VAR}, ${VAR:-default} or ${VAR:?message}',
  ],
  [
    'auth:\n  admin_keys: ["$ADMIN_KEY"]',
    'gateway.yaml:2:16  auth.admin_keys.0: a variable is written with braces: ${VAR}; write "$$" for a dollar sign',
  ],
  [
    'servers:\n  - id: *x\n    kind: demo',
    'gateway.yaml:2:9  servers.0.id: no anchor is called "x"',
    'gateway.yaml:2:9  servers.0.id: is required; "*x" gave nothing',
  ],
  [
    'service:\n  name: ${NAME',
    'gateway.yaml:2:9  service.name: a reference has no closing "}"; write "$$" for a dollar sign',
  ],
  ['<<: 1', 'gateway.yaml:1:1  <<: merge keys are not supported'],
]

const values: Broken[] = [
  ['service: 3', 'gateway.yaml:1:10  service: expected a map of keys, got 3'],
  ['service:\n  port: 70000', 'gateway.yaml:2:9  service.port: expected a number of at most 65535, got 70000'],
  ['service:\n  port: -1', 'gateway.yaml:2:9  service.port: expected a number of at least 0, got -1'],
  ['service:\n  port: 1.5', 'gateway.yaml:2:9  service.port: expected a whole number, got 1.5'],
  ['service:\n  port: eighty', 'gateway.yaml:2:9  service.port: expected a number, got "eighty"'],
  ['service:\n  port:', 'gateway.yaml:2:8  service.port: expected a number, got nothing'],
  ['service:\n  name: 3', 'gateway.yaml:2:9  service.name: expected text in quotes, got 3'],
  ['service:\n  name:', 'gateway.yaml:2:8  service.name: expected text, got nothing'],
  ['service:\n  name: [a]', 'gateway.yaml:2:9  service.name: expected text, got a list'],
  [`service:\n  port: ${'x'.repeat(60)}`, `gateway.yaml:2:9  service.port: expected a number, got "${'x'.repeat(60)}"`],
  [
    `service:\n  port: ${'x'.repeat(61)}`,
    `gateway.yaml:2:9  service.port: expected a number, got "${'x'.repeat(60)}…"`,
  ],
  ['service:\n  max_body: big', 'gateway.yaml:2:13  service.max_body: expected a size such as 10MB, got "big"'],
  ['timeouts:\n  idle: soon', 'gateway.yaml:2:9  timeouts.idle: expected a duration such as 30s, got "soon"'],
  ['timeouts:\n  idle: 0', 'gateway.yaml:2:9  timeouts.idle: expected a duration such as 30s (more than 0), got 0'],
  [
    'timeouts:\n  total: 30d',
    'gateway.yaml:2:10  timeouts.total: expected a duration such as 30s (24d at most), got "30d"',
  ],
  [
    'audit:\n  retention: 5000d',
    'gateway.yaml:2:14  audit.retention: expected a duration such as 30s (3653d at most), got "5000d"',
  ],
  [
    'auth:\n  jwt: { leeway: 2m }',
    'gateway.yaml:2:18  auth.jwt.leeway: expected a duration such as 30s (1m at most), got "2m"',
  ],
  [
    'retry:\n  budget_min: 9007199254740993',
    'gateway.yaml:2:15  retry.budget_min: expected a whole number of at most 9007199254740991, got 9007199254740992',
  ],
  ['redis:\n  url: redis:6379', 'gateway.yaml:2:8  redis.url: expected an address such as redis://127.0.0.1:6379'],
  [
    'database:\n  url: postgres:5432/citadel',
    'gateway.yaml:2:8  database.url: expected an address such as sqlite: or postgres://host/database',
  ],
  [
    'monitoring:\n  log_level: loud',
    'gateway.yaml:2:14  monitoring.log_level: expected one of debug, info, warn, error, got "loud"',
  ],
  [
    'monitoring:\n  metrics_endpoint: metrics',
    'gateway.yaml:2:21  monitoring.metrics_endpoint: expected a path such as /metrics, got "metrics"',
  ],
  [
    'monitoring:\n  thresholds: { memory: [0.9, 0.8] }',
    'gateway.yaml:2:25  monitoring.thresholds.memory: the warning must not be above the critical value',
  ],
  [
    'gateway:\n  headers: shrt',
    'gateway.yaml:2:12  gateway.headers: expected one of short, full, got "shrt", did you mean "short"?',
  ],
  ['gateway:\n  discover: maybe', 'gateway.yaml:2:13  gateway.discover: expected auto, true or false, got "maybe"'],
  [
    'gateway:\n  intelligent_routing: perhaps',
    'gateway.yaml:2:24  gateway.intelligent_routing: expected true or false, got "perhaps"',
  ],
  [
    'servers:\n  - { id: a, kind: ollama, base_url: "ftp://x" }',
    'gateway.yaml:2:38  servers.0.base_url: expected an address such as http://127.0.0.1:11434, got "ftp://x"',
  ],
  [
    'servers:\n  - { id: a, kind: ollama, base_url: "http://me:pw@x" }',
    'gateway.yaml:2:38  servers.0.base_url: must not hold a user or password; use api_key',
  ],
  [
    'servers:\n  - { id: a, kind: openai, api_key: { a: b } }',
    'gateway.yaml:2:37  servers.0.api_key: expected text, got a map',
  ],
  [
    'servers:\n  - { id: a, kind: openai, api_key: 12345 }',
    'gateway.yaml:2:37  servers.0.api_key: expected text in quotes',
  ],
  [
    'servers:\n  - { id: a/b, kind: openai }',
    'gateway.yaml:2:11  servers.0.id: expected a name of letters, digits, dots, dashes and underscores, got "a/b"',
  ],
  [
    'servers:\n  - { id: a, kind: vllm, base_url: "http://x" }\n  - { id: b, kind: Llama.cpp, base_url: "http://y" }\n  - { id: c, kind: claude }',
    'gateway.yaml:2:20  servers.0.kind: expected one of openai, openai_compatible, ollama, anthropic, gemini, deepseek, demo, service, got "vllm", did you mean "openai_compatible"?',
    'gateway.yaml:3:20  servers.1.kind: expected one of openai, openai_compatible, ollama, anthropic, gemini, deepseek, demo, service, got "Llama.cpp", did you mean "openai_compatible"?',
    'gateway.yaml:4:20  servers.2.kind: expected one of openai, openai_compatible, ollama, anthropic, gemini, deepseek, demo, service, got "claude", did you mean "anthropic"?',
  ],
  [
    'load_balancer:\n  algorithm: least_connections',
    'gateway.yaml:2:14  load_balancer.algorithm: expected one of round_robin, weighted_round_robin, random, least_busy, latency, cost, affinity, resident, explicit, auto, got "least_connections", did you mean "least_busy"?',
  ],
  [
    'models:\n  chat:\n    endpoint: "http://x"\n    api_key: secret\n    model: "mixtral:8x7b"',
    'gateway.yaml:4:5  models.chat.api_key: unknown key, it belongs to a server: describe it under servers, and name it in targets instead of endpoint',
    'gateway.yaml:5:5  models.chat.model: unknown key, it belongs to a target: write targets instead of endpoint',
  ],
  ['servers: { a: { kind: openai } }', 'gateway.yaml:1:10  servers: expected a list, got a map'],
  ['servers: [ollama]', 'gateway.yaml:1:11  servers.0: expected a map of keys, got "ollama"'],
  ['models:\n  chat:', 'gateway.yaml:2:8  models.chat: expected a map of keys, got nothing'],
  [
    'models:\n  "a b": { endpoint: "http://a" }',
    'gateway.yaml:2:3  models.a b: expected a model name of letters, digits and . _ - : / @ +',
  ],
  [
    'models:\n  a: { endpoint: "http://a?key=1" }',
    'gateway.yaml:2:18  models.a.endpoint: must not hold a query or fragment',
  ],
  ['auth:\n  keys: [sk-live-1]', 'gateway.yaml:2:10  auth.keys.0: expected a map of keys'],
  ['auth:\n  mode: open', 'gateway.yaml:2:9  auth.mode: expected one of none, optional, required, auto, got "open"'],
  [
    'auth:\n  keys: [{ name: a, key: k, expires: 2027-02-30 }]',
    'gateway.yaml:2:38  auth.keys.0.expires: expected a date such as 2027-01-01 or 2027-01-01T12:00:00Z, got "2027-02-30"',
  ],
  [
    'auth:\n  keys: [{ name: a, key: k, expires: soon }]',
    'gateway.yaml:2:38  auth.keys.0.expires: expected a date such as 2027-01-01 or 2027-01-01T12:00:00Z, got "soon"',
  ],
  [
    'auth:\n  keys: [{ name: a, key: k, role: root }]',
    'gateway.yaml:2:35  auth.keys.0.role: expected one of caller, viewer, operator, admin, got "root"',
  ],
  [
    'cors:\n  origins: [example.com]',
    'gateway.yaml:2:13  cors.origins.0: expected an origin such as https://app.example.com or http://localhost:*, got "example.com"',
  ],
  // Whoever means every page has to write "*".
  [
    'cors:\n  origins: ["https://*"]',
    'gateway.yaml:2:13  cors.origins.0: expected an origin such as https://app.example.com or http://localhost:*, got "https://*"',
  ],
  // The gateway listens on the first two, and can neither be asked there nor tell that only this machine is meant.
  ...['*', '[::1]', '127.0.0.1:8000', 'http://0.0.0.0'].map((host): [string, string] => [
    `service:\n  host: "${host}"`,
    `gateway.yaml:2:9  service.host: expected an address or a name of this machine, such as 127.0.0.1 or ::1 (0.0.0.0 for all), got "${host}"`,
  ]),
  // The client takes database 0 for either.
  [
    'redis:\n  url: redis://h/citadel',
    'gateway.yaml:2:8  redis.url: expected the number of a database, such as redis://127.0.0.1:6379/1',
  ],
  ['redis:\n  url: ["redis://h/1", "redis://i/1"]', 'gateway.yaml:2:8  redis.url: a cluster has database 0 alone'],
  ['redis:\n  url: http://x', 'gateway.yaml:2:8  redis.url: expected an address such as redis://127.0.0.1:6379'],
  [
    'database:\n  url: mysql://root:pw@x',
    'gateway.yaml:2:8  database.url: expected an address such as sqlite: or postgres://host/database',
  ],
  // Nobody could connect to these, nor tell that there is a password in them.
  [
    'database:\n  url: "postgres://u:pass/word@127.0.0.1/citadel"',
    'gateway.yaml:2:8  database.url: cannot be read: a port is 65535 at most, % is written %25, and in a user or password / %2F, ? %3F and # %23',
  ],
  [
    'database:\n  url: "postgres://u:secret@127.0.0.1/citadel?sslmode=verify"',
    'gateway.yaml:2:8  database.url: sslmode is one of disable, allow, prefer, require, verify-ca, verify-full',
  ],
  [
    'database:\n  url: "postgres://u:12/word@127.0.0.1/citadel"',
    'gateway.yaml:2:8  database.url: cannot be read: a port is 65535 at most, % is written %25, and in a user or password / %2F, ? %3F and # %23',
  ],
  [
    'redis:\n  url: ["redis://:pass#word@127.0.0.1", "redis://:pass%word@127.0.0.1"]',
    'gateway.yaml:2:9  redis.url.0: cannot be read: a port is 65535 at most, % is written %25, and in a user or password / %2F, ? %3F and # %23',
    'gateway.yaml:2:41  redis.url.1: cannot be read: a port is 65535 at most, % is written %25, and in a user or password / %2F, ? %3F and # %23',
  ],
  [
    'servers:\n  - { id: a, kind: openai, proxy: "http://u:100%@p:1" }',
    'gateway.yaml:2:35  servers.0.proxy: cannot be read: a port is 65535 at most, % is written %25, and in a user or password / %2F, ? %3F and # %23',
  ],
  [
    'service:\n  trusted_proxies: [10.0.0.0/33]',
    'gateway.yaml:2:21  service.trusted_proxies.0: expected an address or block such as 10.0.0.0/8, got "10.0.0.0/33"',
  ],
  [
    'hedging:\n  after: p0',
    'gateway.yaml:2:10  hedging.after: expected p95, or milliseconds, or a duration such as 200ms, got "p0"',
  ],
  [
    'service:\n  name: ${NAME}',
    'gateway.yaml:2:9  service.name: the variable NAME is not set; write ${NAME:-} if it may be absent',
  ],
  ['service:\n  name: ${NAME:?say who you are}', 'gateway.yaml:2:9  service.name: NAME: say who you are'],
  ['service:\n  port: ${PORT:-x}', 'gateway.yaml:2:9  service.port: expected a number, got what "${PORT:-…}" gave'],
  [
    'service: { secret: a, secret_file: b }',
    'gateway.yaml:1:23  service.secret_file: give secret or secret_file, not both',
  ],
  [
    'service: { tls: { cert_file: "", key_file: k } }\nservers: [{ id: a, kind: openai, tls: { ca_file: "" } }]',
    'gateway.yaml:1:30  service.tls.cert_file: must not be empty',
    'gateway.yaml:2:50  servers.0.tls.ca_file: must not be empty',
  ],
  ['service:\n  secret_file: missing.txt', 'gateway.yaml:2:16  service.secret_file: missing.txt does not exist'],
]

const keys: Broken[] = [
  ['servis:\n  port: 1', 'gateway.yaml:1:1  servis: unknown key, did you mean "service"?'],
  ['rate_limit: {}', 'gateway.yaml:1:1  rate_limit: unknown key, did you mean "limits"?'],
  [
    'limits:\n  global: { rpm: 1, TPM: 1 }',
    'gateway.yaml:2:13  limits.global.rpm: unknown key, did you mean "requests_per_minute"?',
    'gateway.yaml:2:21  limits.global.TPM: unknown key, did you mean "tokens_per_minute"?',
  ],
  ['sevice:\n  port: 1', 'gateway.yaml:1:1  sevice: unknown key, did you mean "service"?'],
  [
    'service:\n  prot: 1\n  nonsense_entirely: 2',
    'gateway.yaml:2:3  service.prot: unknown key, did you mean "port"?',
    'gateway.yaml:3:3  service.nonsense_entirely: unknown key',
  ],
  [
    'models:\n  chat:\n    class: heavyweight\n    endpoint: http://a\n  coder: { targts: [] }',
    'gateway.yaml:5:12  models.coder.targts: unknown key, did you mean "targets"?',
  ],
  [
    'gateway:\n  classes:\n    lightwight: { prefer: [] }',
    'gateway.yaml:3:5  gateway.classes.lightwight: unknown key, did you mean "lightweight"?',
  ],
  [
    'gateway:\n  classes:\n    lightweight: { prefer: [gpu-1] }\nservers: [{ id: gpu1, kind: ollama }]',
    'gateway.yaml:3:29  gateway.classes.lightweight.prefer.0: no server has the id "gpu-1", did you mean "gpu1"?',
  ],
  [
    'limits:\n  global: { requests_per_minut: 1 }',
    'gateway.yaml:2:13  limits.global.requests_per_minut: unknown key, did you mean "requests_per_minute"?',
  ],
  [
    'models: { chat: { endpoint: "http://a", price: 1, proxy: b } }\nservers: [{ id: a, kind: openai, model: b }]',
    'gateway.yaml:1:41  models.chat.price: unknown key, it belongs to a target: write targets instead of endpoint',
    'gateway.yaml:1:51  models.chat.proxy: unknown key, it belongs to a server: describe it under servers, and name it in targets instead of endpoint',
    'gateway.yaml:2:34  servers.0.model: unknown key',
  ],
  [
    'servers: [{ id: a, kind: anthropic }]\nmodels: { c: { targets: [{ server: a, price: { inference_geo: { US: 1 } } }] } }',
    'gateway.yaml:2:65  models.c.targets.0.price.inference_geo.US: expected the name of a place in small letters, such as us',
  ],
  // No server is said to be missing: it stands in the section that was misspelt.
  [
    'serverz: [{ id: a, kind: openai }]\nmodels: { chat: { targets: [{ server: a, model: b }] } }',
    'gateway.yaml:1:1  serverz: unknown key, did you mean "servers"?',
  ],
  [
    'servers: [{ id: a, kind: openai, ib: 1 }]\nmodels: { chat: { targets: [{ server: b, model: c }] } }',
    'gateway.yaml:1:34  servers.0.ib: unknown key',
    'gateway.yaml:2:39  models.chat.targets.0.server: no server has the id "b"',
  ],
]

const references: Broken[] = [
  ['monitoring:\n  thresholds: { memory: [0.9] }', 'gateway.yaml:2:17  monitoring.thresholds.memory.1: is required'],
  [
    'servers:\n  - { id: a, kind: openai }\n  - { id: a, kind: openai }',
    'gateway.yaml:3:11  servers.1.id: "a" is already the id of another server',
  ],
  ['servers:\n  - kind: openai', 'gateway.yaml:2:5  servers.0.id: is required'],
  [
    'servers:\n  - id: a\n    kind: openai_compatible',
    'gateway.yaml:2:5  servers.0.base_url: is required for kind openai_compatible',
  ],
  [
    'servers: [{ id: llm-01, kind: ollama }]\nmodels:\n  chat:\n    targets:\n      - { server: llm-1 }',
    'gateway.yaml:5:19  models.chat.targets.0.server: no server has the id "llm-1", did you mean "llm-01"?',
  ],
  ['models:\n  chat: {}', 'gateway.yaml:2:3  models.chat: needs endpoint or targets'],
  [
    'models:\n  auto: { endpoint: "http://a" }',
    'gateway.yaml:2:3  models.auto: "auto" lets the gateway choose and cannot be the name of a model',
  ],
  [
    'servers: [{ id: a, kind: ollama }]\nmodels:\n  chat:\n    endpoint: http://x\n    targets: [{ server: a }]',
    'gateway.yaml:4:5  models.chat.endpoint: give endpoint or targets, not both',
  ],
  [
    'servers: [{ id: a, kind: ollama }]\nmodels:\n  chat:\n    cost_per_request: 1\n    targets: [{ server: a }]',
    'gateway.yaml:4:5  models.chat.cost_per_request: belongs to an endpoint; set price.request of the targets',
  ],
  [
    'models:\n  a: { endpoint: "http://a", fallbacks: [b] }',
    'gateway.yaml:2:42  models.a.fallbacks.0: no model is called "b"',
  ],
  [
    'models:\n  a: { endpoint: "http://a", fallbacks: [a] }',
    'gateway.yaml:2:42  models.a.fallbacks.0: a model cannot be its own fallback',
  ],
  [
    'models:\n  a: { endpoint: "http://a", aliases: [b] }\n  b: { endpoint: "http://b", aliases: [c] }\n  d: { endpoint: "http://d", aliases: [c, auto] }',
    'gateway.yaml:2:40  models.a.aliases.0: "b" is already the name of a model',
    'gateway.yaml:4:40  models.d.aliases.0: "c" is already an alias of b',
    'gateway.yaml:4:43  models.d.aliases.1: "auto" lets the gateway choose and cannot be an alias',
  ],
  [
    'gateway: { default_model: auto }\nservers: [{ id: s, kind: ollama }]',
    'gateway.yaml:1:27  gateway.default_model: no model is called "auto"',
  ],
  ['auth: { mode: 5 }', 'gateway.yaml:1:15  auth.mode: expected one of none, optional, required, auto, got 5'],
  ['servers: [{ id: a, kind: Service }]', 'gateway.yaml:1:11  servers.0.base_url: is required for kind service'],
  [
    'auth: { jwt: { issuer: "https://a", audience: b, secret: 12, algorithms: [HS256] } }',
    'gateway.yaml:1:58  auth.jwt.secret: expected text in quotes',
    'gateway.yaml:1:58  auth.jwt.secret: needs 32 characters or more',
  ],
  [
    `auth: { jwt: { issuer: me, audience: b, secret: ${'x'.repeat(32)}, algorithms: [HS256, RS256] } }`,
    'gateway.yaml:1:24  auth.jwt.issuer: is no address: set auth.jwt.jwks_url too',
  ],
  [
    'webhooks: { deliver: [{ events: [server_registered] }, { events: [server_departed] }] }',
    'gateway.yaml:1:23  webhooks.deliver.0.url: is required',
    'gateway.yaml:1:56  webhooks.deliver.1.url: is required',
  ],
  [
    'models:\n  a: { endpoint: "http://a", aliases: [1, 1] }',
    'gateway.yaml:2:40  models.a.aliases.0: expected text in quotes, got 1',
    'gateway.yaml:2:43  models.a.aliases.1: expected text in quotes, got 1',
  ],
  [
    'servers: [{ id: s, kind: ollama }]\nmodels:\n  a: { targets: [{ server: b }] }\n  b: { targets: [{ server: s }] }',
    'gateway.yaml:3:28  models.a.targets.0.server: no server has the id "b"',
  ],
  [
    'limits: { per_model: { c/c: { requests_per_minute: 1 }, s/m: { requests_per_minute: 1 } } }\nservers: [{ id: s, kind: ollama }]\nmodels:\n  c: { endpoint: "http://c" }\n  s/m: { targets: [{ server: s, model: m }] }',
    'gateway.yaml:1:24  limits.per_model.c/c: is limited by the public name of its model: limits hold over all targets',
  ],
  [
    'gateway: { default_model: auto, fallback: { order: [b] } }\ncache: { semantic: { model: othr } }\nauth:\n  keys: [{ name: k, key: secret, models: [a, b] }]\nmodels:\n  a: { endpoint: "http://a", aliases: [other] }',
    'gateway.yaml:1:27  gateway.default_model: no model is called "auto"',
    'gateway.yaml:1:53  gateway.fallback.order.0: no model is called "b"',
    'gateway.yaml:2:29  cache.semantic.model: no model is called "othr", did you mean "other"?',
    'gateway.yaml:4:46  auth.keys.0.models.1: no model is called "b"',
  ],
  ['models:\n  a: { targets: { server: s } }', 'gateway.yaml:2:17  models.a.targets: expected a list, got a map'],
  ['models:\n  a: { max_concurrent: 2 }', 'gateway.yaml:2:3  models.a: needs endpoint or targets'],
  [
    'servers: [{ id: s, kind: ollama }]\nmodels:\n  a: { max_concurrent: 2, endpoint: "http://a", targets: [{ server: s }] }',
    'gateway.yaml:3:27  models.a.endpoint: give endpoint or targets, not both',
  ],
  [
    'gateway: { default_model: s/lama }\nservers: [{ id: s, kind: ollama }]\nmodels: { a: { targets: [{ server: s, model: llama }] } }',
    'gateway.yaml:1:27  gateway.default_model: no model is called "s/lama", did you mean "s/llama"?',
  ],
  [
    'gateway: { default_model: mixtrl }\nmodels:\n  mixtral: { endpoint: "http://a" }',
    'gateway.yaml:1:27  gateway.default_model: no model is called "mixtrl", did you mean "mixtral"?',
  ],
  [
    'servers: [{ id: a, kind: ollama }]\nmodels:\n  a: { endpoint: "http://a" }',
    'gateway.yaml:1:17  servers.0.id: "a" is already the server behind the endpoint of models.a',
  ],
  ['auth:\n  keys:\n    - { name: a }', 'gateway.yaml:3:7  auth.keys.0.key: needs key or key_file'],
  [
    'limits: { per_model: { s/llama: { requests_per_minute: 1 }, t/phi3: { requests_per_minute: 1 } } }\nservers: [{ id: s, kind: ollama }, { id: t, kind: ollama }]\nmodels: { a: { targets: [{ server: s, model: llama }] } }',
    'gateway.yaml:1:24  limits.per_model.s/llama: is limited by the public name of its model: limits hold over all targets',
  ],
  [
    'load_balancer: { preload: [mixtrl] }\nmodels:\n  mixtral: { endpoint: "http://a" }',
    'gateway.yaml:1:28  load_balancer.preload.0: no model is called "mixtrl", did you mean "mixtral"?',
  ],
  [
    'auth:\n  keys:\n    - { name: a, key: k }\n    - { name: a, key: k }',
    'gateway.yaml:4:15  auth.keys.1.name: "a" is already the name of other callers',
    'gateway.yaml:4:23  auth.keys.1.key: is the same key as another one',
  ],
  [
    'webhooks: { deliver: [{ url: "http://a/hook", events: [server_registred] }] }',
    'gateway.yaml:1:56  webhooks.deliver.0.events.0: expected one of server_registered, server_departed, health_status_changed, load_threshold_exceeded, failover_initiated, failover_completed, cluster_rebalanced, got "server_registred", did you mean "server_registered"?',
  ],
  [
    'webhooks:\n  deliver:\n    - { url: "http://a/hook", events: [server_registered] }\n    - { url: "http://a/hook", events: [server_departed] }',
    'gateway.yaml:4:14  webhooks.deliver.1.url: is delivered to already: name all its events once',
  ],
  [
    'auth:\n  keys: [{ name: a, key: k, budget: { per: week } }]',
    'gateway.yaml:2:29  auth.keys.0.budget.usd: is required',
    'gateway.yaml:2:44  auth.keys.0.budget.per: expected one of day, month, got "week"',
  ],
  [
    'budgets: { per_tenant: { shop: { usd: 9999999999 } } }',
    'gateway.yaml:1:39  budgets.per_tenant.shop.usd: expected a number of at most 1000000000, got 9999999999',
  ],
  [
    'auth:\n  admin_keys: [k1, k2]\n  keys: [{ name: admin-2, key: k3 }, { name: admin-3, key: k4 }, { name: anonymous, key: k5 }]',
    'gateway.yaml:3:18  auth.keys.0.name: "admin-2" is already the name of other callers',
    'gateway.yaml:3:74  auth.keys.2.name: "anonymous" is already the name of other callers',
  ],
  [
    'auth:\n  keys: [{ name: a, key: k }]\n  admin_keys: [k]',
    'gateway.yaml:3:16  auth.admin_keys.0: is the same key as another one',
  ],
  [
    'limits:\n  per_model: { gpt: {} }\nmodels:\n  gpt-5: { endpoint: "http://a" }',
    'gateway.yaml:2:16  limits.per_model.gpt: no model is called "gpt", did you mean "gpt-5"?',
  ],
  [
    'servers:\n  - { id: a, kind: ollama, base_url: "https://x:1/v1", tls: { ca_file: a.pem }, proxy: "http://u:pw@p:1" }\n  - { id: b, kind: ollama, base_url: "https://x:1/v2", tls: { ca_file: b.pem }, proxy: "http://u:pw@q:1" }',
    'gateway.yaml:3:56  servers.1.tls: server "b" has the address of "a", which says otherwise: write the same for both',
    'gateway.yaml:3:81  servers.1.proxy: server "b" has the address of "a", which says otherwise: write the same for both',
  ],
  [
    'servers:\n  - { id: a, kind: openai, proxy: "http://p:1" }\n  - { id: b, kind: openai, tls: { ca_file: b.pem } }',
    'gateway.yaml:3:28  servers.1.tls: server "b" has the address of "a", which says otherwise: write the same for both',
  ],
  [
    'servers:\n  - { id: a, kind: openai, proxy: "http://u:50%@p:1" }\nredis: { url: "redis://:5%0@r:1" }\ndatabase: { url: "postgres://u:p@h/%ff" }',
    'gateway.yaml:2:35  servers.0.proxy: cannot be read: a port is 65535 at most, % is written %25, and in a user or password / %2F, ? %3F and # %23',
    'gateway.yaml:3:15  redis.url: cannot be read: a port is 65535 at most, % is written %25, and in a user or password / %2F, ? %3F and # %23',
    'gateway.yaml:4:18  database.url: cannot be read: a port is 65535 at most, % is written %25, and in a user or password / %2F, ? %3F and # %23',
  ],
  [
    'limits:\n  per_tenant: { shop: { burst: 5, tokens_per_day: 9 } }',
    'gateway.yaml:2:32  limits.per_tenant.shop.burst: has no effect without requests_per_minute, requests_per_hour or requests_per_day',
  ],
  [
    'limits:\n  global: { requests_per_minute: 0, burst: 5 }\n  per_client: { requests_per_minute: 0, burst: 6 }',
    'gateway.yaml:2:44  limits.global.burst: has no effect without requests_per_minute, requests_per_hour or requests_per_day',
    'gateway.yaml:3:48  limits.per_client.burst: has no effect without requests_per_minute, requests_per_hour or requests_per_day',
  ],
  [
    'models:\n  a: { endpoint: "http://a:1", cost_per_request: 1e7 }',
    'gateway.yaml:2:50  models.a.cost_per_request: expected a number of at most 1000000, got 10000000',
  ],
  [
    'auth:\n  keys: [{ name: a, key: sk-0123456789abcdef, limits: { requests_per_minute: 0, burst: 5 } }]',
    'gateway.yaml:2:88  auth.keys.0.limits.burst: has no effect without requests_per_minute, requests_per_hour or requests_per_day',
  ],
  [
    'webhooks:\n  secrets: { deploy: whsec_, ship: whsec_a secret of mine, fine: whsec_AQID, plain: a secret }\n  deliver: [{ url: "http://a/hook", secret: "whsec_=" }]',
    'gateway.yaml:2:22  webhooks.secrets.deploy: holds no base64 behind whsec_',
    'gateway.yaml:2:36  webhooks.secrets.ship: holds no base64 behind whsec_',
    'gateway.yaml:3:45  webhooks.deliver.0.secret: holds no base64 behind whsec_',
  ],
  [
    'webhooks:\n  deliver: [{ url: hooks.example.com/services/secret-of-a-channel }]',
    'gateway.yaml:2:20  webhooks.deliver.0.url: expected an address such as http://127.0.0.1:11434',
  ],
  [
    'webhooks:\n  deliver: [{ url: "https://hooks.example.com/a?sig=b#c" }]',
    'gateway.yaml:2:20  webhooks.deliver.0.url: must not hold a fragment',
  ],
  [
    'webhooks:\n  deliver: [{ url: "https://me:secret-of-a-channel@hooks.example.com/a" }]',
    'gateway.yaml:2:20  webhooks.deliver.0.url: must not hold a user or password',
  ],
  [
    'cors: { origins: ["*"], credentials: true }',
    'gateway.yaml:1:38  cors.credentials: cannot be allowed for every origin ("*")',
  ],
  [
    'cache: { semantic: { enabled: true } }',
    'gateway.yaml:1:10  cache.semantic.model: is required while cache.semantic is enabled',
  ],
  [
    'cors: { origins: ["*"], credentials: "Yes" }',
    'gateway.yaml:1:38  cors.credentials: cannot be allowed for every origin ("*")',
  ],
  [
    'gateway: { default_model: b }\nservers: [{ id: s, kind: ollama }, { id: w, kind: Service, base_url: "http://w" }]\nmodels: { a: { targets: [{ server: s }] } }',
    'gateway.yaml:1:27  gateway.default_model: no model is called "b"',
  ],
  [
    'gateway: { model_routing_enabled: off }',
    'gateway.yaml:1:35  gateway.model_routing_enabled: false needs gateway.default_model, which then answers everything',
  ],
  [
    'gateway: { model_routing_enabled: false }',
    'gateway.yaml:1:35  gateway.model_routing_enabled: false needs gateway.default_model, which then answers everything',
  ],
  [
    'monitoring: { metrics_endpoint: /health }',
    'gateway.yaml:1:33  monitoring.metrics_endpoint: /health is another page of the gateway already',
  ],
  [
    'monitoring: { metrics_endpoint: /up, health_check_endpoint: /up }',
    'gateway.yaml:1:33  monitoring.metrics_endpoint: is the same path as health_check_endpoint',
  ],
  [
    'servers: [{ id: s, kind: ollama }]\nmodels:\n  a: { targets: [{ server: s }, { server: s, model: b }, { server: s, model: a, weight: 3 }] }',
    'gateway.yaml:3:58  models.a.targets.2: is a target of this model already: name it once, with one weight',
  ],
  [
    'monitoring: { prometheus_port: 8000 }',
    'gateway.yaml:1:32  monitoring.prometheus_port: is the port of the gateway itself',
  ],
  [
    'service: { port: "9464" }\nmonitoring: { prometheus_port: 9464 }',
    'gateway.yaml:2:32  monitoring.prometheus_port: is the port of the gateway itself',
  ],
  [
    'monitoring: { prometheus_port: 0 }',
    'gateway.yaml:1:32  monitoring.prometheus_port: expected a number of at least 1, got 0',
  ],
]

test.each(syntax)('says where a file is no YAML that can be used: %j', async (text, ...said) => {
  expect(await complaints(loadText(text))).toEqual(said)
})

test.each(keys)('names a misspelt key and the one that was meant: %j', async (text, ...said) => {
  expect(await complaints(loadText(text))).toEqual(said)
})

test.each(values)('says what a value should have been: %j', async (text, ...said) => {
  expect(await complaints(loadText(text))).toEqual(said)
})

test.each(references)('says which parts do not fit together: %j', async (text, ...said) => {
  expect(await complaints(loadText(text))).toEqual(said)
})

test('refuses aliases that stand for too much', async () => {
  const nine = (name: string) => `[${Array(9).fill(`*${name}`).join(', ')}]`
  const bomb = [
    'a: &a [x, x, x, x, x, x, x, x, x]',
    ...['b', 'c', 'd', 'e'].map((name, i) => `${name}: &${name} ${nine('abcd'[i] ?? '')}`),
  ]

  const said = await complaints(loadText(bomb.join('\n')))

  expect(said).toEqual(['gateway.yaml:1:1  is nested too deeply, or its aliases stand for too much'])
})

test('refuses an anchor that holds itself', async () => {
  const said = await complaints(loadText('service: &a [*a]'))

  expect(said).toEqual(['gateway.yaml:1:1  is nested too deeply, or its aliases stand for too much'])
})

test('refuses a file of nothing but brackets', async () => {
  const said = await complaints(loadText(`service: ${'['.repeat(20_000)}`))

  expect(said).toHaveLength(1)
})

test('reads a long file that is merely long', async () => {
  const { config } = await loadText(`service:\n  allow_clients:\n${'    - 10.0.0.1\n'.repeat(21_000)}`)

  expect(config.service.allow_clients).toHaveLength(21_000)
})

test.each([
  '\uFEFF{"service":{"port":9}}',
  '\uFEFFservice: { port: 9 }',
  '\uFEFFservice:\r\n  port: 9\r\n',
  '\n \nservice: { port: 9 }',
])('reads a file that begins with a byte order mark or nothing: %j', async text => {
  const { config } = await loadText(text)

  expect(config.service.port).toBe(9)
})

test('passes over no line that holds something', async () => {
  expect(await complaints(loadText('\u00A0service: { port: 9 }'))).toEqual([
    'gateway.yaml:1:1  \u00A0service: unknown key, did you mean "service"?',
  ])
})

test('refuses a file larger than 4 MB', async () => {
  const said = await complaints(loadText(`service:\n  name: ${'x'.repeat(4_000_000)}`))

  expect(said).toEqual(['gateway.yaml:1:1  is larger than 4 MB'])
})

test('tells everything at once, in the order of the file', async () => {
  const text = `
service:
  port: 99999
  hots: x
models:
  chat:
    targts: []
    class: hevy
timeouts: { idle: soon, connect: later }
gateway: { default_model: caht }
`
  const said = await complaints(loadText(text, { env: { RATE_LIMIT_RPS: 'abc' }, flags: { port: 'x' } }))

  expect(said).toEqual([
    'gateway.yaml:4:3  service.hots: unknown key, did you mean "host"?',
    'gateway.yaml:7:5  models.chat.targts: unknown key, did you mean "targets"?',
    'gateway.yaml:8:12  models.chat.class: expected one of lightweight, heavyweight, embedding, specialized, got "hevy"',
    'gateway.yaml:9:19  timeouts.idle: expected a duration such as 30s, got "soon"',
    'gateway.yaml:9:34  timeouts.connect: expected a duration such as 30s, got "later"',
    'gateway.yaml:10:27  gateway.default_model: no model is called "caht", did you mean "chat"?',
    'environment  RATE_LIMIT_RPS: expected a number, got "abc"',
    'flag  --port: expected a number, got "x"',
  ])
})

test.each([
  ['servers: [{ id: a, kind: openai, api_key: "${KEY}" }]', '1:43  servers.0.api_key'],
  ['servers: [{ id: a, kind: openai, api_keys: [a, "${KEY}"] }]', '1:48  servers.0.api_keys.1'],
  ['servers: [{ id: a, kind: openai, headers: { x-a: "${KEY}" } }]', '1:50  servers.0.headers.x-a'],
  ['orchestration: { credentials: { a: "${KEY}" } }', '1:36  orchestration.credentials.a'],
])('refuses a key that no header can carry: %s', async (text, place) => {
  const said = await complaints(loadText(text, { env: { KEY: 'sk-canary\n' } }))

  expect(said).toEqual([`gateway.yaml:${place}: holds a line end or another character that no header can carry`])
})

test('refuses what is no name of a header', async () => {
  const said = await complaints(loadText('servers: [{ id: a, kind: openai, headers: { "x a": b } }]'))

  expect(said).toEqual(['gateway.yaml:1:45  servers.0.headers.x a: expected the name of a header, such as x-tenant'])
})

test.each([
  ['sk-canary\n', 'it holds blanks, line ends, commas or letters that no key has'],
  ['sk canary', 'it holds blanks, line ends, commas or letters that no key has'],
  ['schlüssel-canary', 'it holds blanks, line ends, commas or letters that no key has'],
  [`canary${'x'.repeat(512)}`, 'it has more than 512 characters'],
])('refuses a key that no client can send: %j', async (KEY, why) => {
  const text = 'auth: { keys: [{ name: a, key: "${KEY}" }], admin_keys: ["${OTHER}"] }'
  const said = await complaints(loadText(text, { env: { KEY, OTHER: `${KEY}2` } }))

  expect(said).toEqual([
    `gateway.yaml:1:32  auth.keys.0.key: no client can send it: ${why}`,
    `gateway.yaml:1:58  auth.admin_keys.0: no client can send it: ${why}`,
  ])
})

test('never shows a secret', async () => {
  const text = `
servers:
  - { id: a, kind: openai, api_key: { canary: 1 }, api_keys: canary, headers: canary }
  - { id: b, kind: openai_compatible, base_url: "http://canary:canary@host" }
  - { id: c, kind: openai, base_url: "me:canary@host", proxy: "me:canary@proxy:3128" }
  - { id: d, kind: openai, proxy: "http://me:can/canary@proxy:3128" }
auth:
  keys: [canary, { name: a, key: [canary] }]
  admin_keys: canary
  mode: "\${SECRET}"
service: { secret: [canary], port: "\${SECRET}" }
redis: { url: "http://:canary@host" }
database: { url: "canary://root:canary@host" }
webhooks: { secrets: { alert: [canary] }, deliver: [{ url: "ftp://me:can/canary@host" }] }
hedging: { after: "\${ABSENT:-canary}" }
orchestration: { credentials: { a: 1234567890 }, register_with: ["me:canary@host"] }
vectors: { url: "me:canary@host" }
`
  const said = await complaints(loadText(text, { env: { SECRET: 'canary', REDIS_URL: 'x://canary@y' } }))

  expect(said.length).toBeGreaterThan(10)
  expect(said.join('\n')).not.toMatch(/canary|1234567890|is set twice/)
})

test.each([
  'redis: { url: "canary@host:6379" }',
  'redis: { url: ["http://me:can/canary@host"] }',
  'database: { url: "host=db password=canary" }',
  'database: { url: "mysql://me:can/canary@host/db" }',
  'orchestration: { credentials: canary }',
  'webhooks: { deliver: "https://hooks.example.com/services/canary" }',
  'webhooks: { deliver: ["https://hooks.example.com/services/canary"] }',
])('never shows what may be a password: %s', async text => {
  const said = await complaints(loadText(text))

  expect(said.length).toBeGreaterThan(0)
  expect(said.join('\n')).not.toContain('canary')
})

test('never shows a secret in a file that cannot be parsed', async () => {
  const said = await complaints(loadText('auth:\n  admin_keys: ["canary\nservice: canary: canary\n  - canary'))

  expect(said.join('\n')).not.toContain('canary')
})
