// Shows the OpenAPI document with Swagger UI, in the look of the guides.

/** Shows the programs of `x-codeSamples` above the responses, and errors, which all have one body, in a line each. */
function plugin() {
  return {
    statePlugins: {
      layout: {
        wrapActions: {
          // Its own scrolling knows nothing of the bar that stays at the top, and puts what a link names behind it.
          scrollToElement: () => element => element.scrollIntoView(),
        },
      },
    },
    wrapComponents: {
      // Its own highlighter writes colours onto the elements, where no style sheet reaches them.
      SyntaxHighlighter: (_, system) => props => highlighted(String(props.children), system.React),
      authorizationPopup:
        (Original, { React }) =>
        props => {
          // Asked before its fields are there, for each of them takes the focus.
          const [opener] = React.useState(() => document.activeElement)
          React.useEffect(() => manageDialog(opener), [])
          return React.createElement(Original, props)
        },
      response: (Original, system) => props => {
        const schema = props.response.getIn(['content', 'application/json', 'schema'])
        const isError = schema?.getIn(['properties', 'error', 'properties', 'message']) !== undefined
        return system.React.createElement(isError ? Failure : Original, isError ? { ...props, system } : props)
      },
      responses: (Original, system) => props => {
        const { createElement: element, Fragment } = system.React
        const samples = system.specSelectors.specJson().getIn(['paths', props.path, props.method, 'x-codeSamples'])
        const list = samples?.toJS() ?? []
        return element(
          Fragment,
          null,
          list.length > 0 && element(Samples, { samples: list, React: system.React }),
          element(Original, props),
        )
      },
    },
  }
}

/** Takes the focus into the dialog for keys, closes it by Escape, and gives the focus back. */
function manageDialog(opener) {
  const close = event => {
    if (event.key === 'Escape') document.querySelector('.close-modal')?.click()
  }
  document.addEventListener('keydown', close)
  // The last field has it, and the first is scrolled out of sight.
  document.querySelector('.auth-container input')?.focus()
  return () => {
    document.removeEventListener('keydown', close)
    opener?.focus()
  }
}

/** Names the controls that Swagger UI leaves without a name, of which a screen reader tells only that they are there. */
function nameControls() {
  for (const control of document.querySelectorAll('#reference :is(select, textarea, .close-modal):not([aria-label])')) {
    const parameter = control.closest('[data-param-name]')?.dataset.paramName
    const usual = { SELECT: 'Example', TEXTAREA: 'Request body', BUTTON: 'Close' }[control.tagName]
    control.setAttribute('aria-label', parameter ?? usual)
  }
}

const JSON_TOKEN = /("(?:\\.|[^"\\])*")(?=(\s*:)?)|\b(?:true|false|null)\b|-?\b\d+(?:\.\d+)?\b/g

function highlighted(code, { createElement: element }) {
  const parts = []
  let from = 0
  for (const match of /^\s*[[{]/.test(code) ? code.matchAll(JSON_TOKEN) : []) {
    const [token, text, colon] = match
    const style = colon ? 'hl-p' : text ? 'hl-s' : 'hl-n'
    parts.push(code.slice(from, match.index), element('span', { key: match.index, className: style }, token))
    from = match.index + token.length
  }
  return element('pre', { className: 'plain-code', tabIndex: 0 }, ...parts, code.slice(from))
}

function Failure({ code, response, system }) {
  const { createElement: element } = system.React
  const Markdown = system.getComponent('Markdown', true)
  return element(
    'tr',
    { className: 'response failure' },
    element('td', { className: 'response-col_status' }, code),
    element('td', null, element(Markdown, { source: response.get('description') })),
  )
}

function Samples({ samples, React }) {
  const { createElement: element, useState } = React
  const [at, setAt] = useState(0)
  const [copied, setCopied] = useState(false)
  const source = samples[at].source.replaceAll('http://localhost:8000', location.origin)
  const copy = async () => {
    await navigator.clipboard.writeText(source)
    setCopied(true)
    setTimeout(() => setCopied(false), 1500)
  }
  const tabs = samples.map(({ label }, index) =>
    element('button', { key: label, type: 'button', 'aria-pressed': index === at, onClick: () => setAt(index) }, label),
  )
  const copyButton = navigator.clipboard
    ? element('button', { className: 'copy', type: 'button', onClick: copy }, copied ? 'Copied' : 'Copy')
    : null
  return element(
    'div',
    { className: 'samples' },
    element('div', { className: 'tabs' }, element('h4', null, 'Examples'), tabs),
    element('div', { className: 'code' }, element('pre', { tabIndex: 0 }, element('code', null, source)), copyButton),
  )
}

new MutationObserver(nameControls).observe(document.querySelector('#reference'), { childList: true, subtree: true })

window.SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#reference',
  presets: [window.SwaggerUIBundle.presets.apis],
  plugins: [plugin],
  layout: 'BaseLayout',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 2,
  displayRequestDuration: true,
  tryItOutEnabled: false,
  validatorUrl: null,
  // It calls its list a page's main part, and the page has one already.
  onComplete: () => document.querySelector('#operations')?.setAttribute('role', 'region'),
})
