import { describe, expect, test } from 'bun:test'
import { catalog as ollama } from '#providers/ollama/catalog.ts'
import { catalog } from '#providers/openai_compatible/catalog.ts'
import { server } from '#tests/support/calls.ts'

const [metrics, slots] = catalog.reports ?? []
const vllm = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen3"} 3.0
vllm:num_requests_running{engine="1",model_name="qwen3"} 2.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="qwen3"} 4.0
vllm:num_requests_waiting_by_reason{engine="0"} 99.0
vllm:kv_cache_usage_perc{engine="0"} 0.5
`
const llama = 'llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\n'

describe('the metrics of an engine', () => {
  test.each([
    ['vLLM', vllm, 9],
    ['llama.cpp', llama, 3],
    ['SGLang', 'sglang:num_running_reqs{model_name="m"} 5.0\nsglang:num_queue_reqs{model_name="m"} 1.0\n', 6],
    ['TGI', 'tgi_batch_current_size 2\ntgi_queue_size 0\n', 2],
  ])('of %s tell the calls that run and wait', (_, text, calls) => {
    expect(metrics?.decode(text)).toEqual({ calls, loaded: null })
  })

  test('of anything else tell nothing', () => {
    for (const text of ['', '<html>', 'node_load1 0.5\n', '{"error":"no"}']) expect(metrics?.decode(text)).toBeNull()
  })

  test('are asked for beside /v1, not below it', () => {
    const at = server('a', { baseUrl: 'http://gpu:8000/v1', secrets: ['sk-x'] })

    expect(metrics?.ask(at, 'sk-x')).toMatchObject({ method: 'GET', url: 'http://gpu:8000/metrics' })
    expect(slots?.ask(at, 'sk-x').url).toBe('http://gpu:8000/slots')
  })
})

describe('the slots of llama.cpp', () => {
  test('tell how many calls are being answered', () => {
    expect(slots?.decode('[{"id":0,"is_processing":true},{"id":1,"is_processing":false}]')?.calls).toBe(1)
    expect(slots?.decode('[{"id":0,"state":1},{"id":1,"state":0}]')?.calls).toBe(1)
  })

  test('tell nothing where they are none', () => {
    for (const text of ['', '{}', '[1]', '[{"id":0}]']) expect(slots?.decode(text)).toBeNull()
  })
})

describe('Ollama', () => {
  const [running] = ollama.reports ?? []

  test('tells which models are in its memory', () => {
    expect(running?.decode('{"models":[{"name":"qwen3:8b","model":"qwen3:8b","size":1}]}')?.loaded).toEqual([
      'qwen3:8b',
    ])
    expect(running?.decode('{"models":[{"name":"phi3:latest"}]}')?.loaded).toEqual(['phi3:latest', 'phi3'])
    expect(running?.decode('{"models":[]}')?.loaded).toEqual([])
    expect(running?.decode('not found')).toBeNull()
  })

  test('loads a model by a call without a prompt', () => {
    const at = server('a', { baseUrl: 'http://gpu:11434' })

    expect(ollama.load?.(at, null, 'qwen3:8b', false)).toMatchObject({
      url: 'http://gpu:11434/api/generate',
      body: ['{"model":"qwen3:8b","stream":false}'],
    })
    expect(ollama.load?.(at, null, 'bge-m3', true)).toMatchObject({
      url: 'http://gpu:11434/api/embed',
      body: ['{"model":"bge-m3","input":[]}'],
    })
  })
})
