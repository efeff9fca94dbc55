// Shows the OpenAPI document with Swagger UI, in the look of the guides.

const dark = window.matchMedia('(prefers-color-scheme: dark)')
const followTheme = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', followTheme)
followTheme()

/** Shows the programs of `x-codeSamples` above the responses of an operation. */
function codeSamples() {
  return {
    wrapComponents: {
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

function Samples({ samples, React }) {
  const { createElement: element, useState } = React
  const [at, setAt] = useState(0)
  const [copied, setCopied] = useState(false)
  const { source } = samples[at]
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

window.SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#reference',
  presets: [window.SwaggerUIBundle.presets.apis],
  plugins: [codeSamples],
  layout: 'BaseLayout',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 2,
  displayRequestDuration: true,
  tryItOutEnabled: false,
  validatorUrl: null,
})
