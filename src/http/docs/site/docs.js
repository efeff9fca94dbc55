// The navigation on small screens, copy buttons, the mark of where the reader is, and the search.

document.documentElement.classList.add('scripted')

function setUpMenu() {
  const button = document.querySelector('.menu')
  const nav = document.querySelector('#nav')
  button?.addEventListener('click', () => {
    const open = nav.classList.toggle('open')
    button.setAttribute('aria-expanded', String(open))
    if (open) window.scrollTo({ top: 0 })
  })
}

/** The navigation may be longer than the window, and each page begins at its top. */
function showCurrent() {
  const nav = document.querySelector('#nav')
  const current = nav.querySelector('[aria-current]')
  if (current) nav.scrollTop = current.offsetTop - nav.offsetTop - nav.clientHeight / 2
}

const USUAL_ADDRESS = 'http://localhost:8000'

/** Commands name the usual address of a gateway, where another one may be: the reader's is that of this page. */
function setUpAddresses() {
  for (const code of document.querySelectorAll('article code')) {
    const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT)
    while (texts.nextNode()) {
      const text = texts.currentNode
      if (text.data.includes(USUAL_ADDRESS)) text.data = text.data.replaceAll(USUAL_ADDRESS, location.origin)
    }
  }
}

function setUpCopying() {
  // Without a secure context browsers give pages no clipboard.
  if (!navigator.clipboard) return
  for (const block of document.querySelectorAll('.code')) {
    const button = document.createElement('button')
    button.type = 'button'
    button.className = 'copy'
    button.textContent = 'Copy'
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(block.querySelector('code').textContent)
      button.textContent = 'Copied'
      setTimeout(() => {
        button.textContent = 'Copy'
      }, 1500)
    })
    block.append(button)
  }
}

/** Tables that are wider than the window can be scrolled by the keyboard; the others are no stops on its way. */
function setUpTables() {
  const observer = new ResizeObserver(entries => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0
      else target.removeAttribute('tabindex')
    }
  })
  for (const table of document.querySelectorAll('.table')) observer.observe(table)
}

function setUpContents() {
  const links = new Map()
  for (const link of document.querySelectorAll('.toc a')) links.set(link.hash.slice(1), link)
  if (links.size === 0) return
  const headings = [...document.querySelectorAll('article :is(h2, h3)')].filter(heading => links.has(heading.id))
  const mark = () => {
    const passed = headings.filter(heading => heading.getBoundingClientRect().top < 120)
    const atEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 2
    const here = atEnd ? headings.at(-1) : (passed.at(-1) ?? headings[0])
    for (const [id, link] of links) link.classList.toggle('here', id === here?.id)
  }
  document.addEventListener('scroll', mark, { passive: true })
  mark()
}

const OFTEN = 10

/** The entries that hold every word: first those with the words in a title, then those that say them more often. */
function find(entries, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return []
  const rated = []
  for (const entry of entries) {
    const title = `${entry.page} ${entry.heading}`.toLowerCase()
    const heading = (entry.heading || entry.page).toLowerCase()
    const text = entry.text.toLowerCase()
    if (!words.every(word => title.includes(word) || text.includes(word))) continue
    const rating = words.reduce(
      (sum, word) =>
        sum +
        (heading.includes(word) ? 3 : title.includes(word) ? 2 : 1) +
        Math.min(text.split(word).length - 1, OFTEN) / (2 * OFTEN),
      0,
    )
    rated.push({ entry, rating, extract: extractOf(entry.text, words[0]) })
  }
  return rated.sort((left, right) => right.rating - left.rating).slice(0, 8)
}

function extractOf(text, word) {
  const at = Math.max(0, text.toLowerCase().indexOf(word) - 30)
  return `${at > 0 ? '…' : ''}${text.slice(at, at + 110)}`
}

function setUpSearch() {
  const box = document.querySelector('.search')
  const input = document.querySelector('#search')
  const results = document.querySelector('#results')
  let index = null
  let chosen = -1
  box.hidden = false

  const load = () => {
    index ??= fetch('/docs/assets/search.json').then(response => response.json())
    return index
  }

  function show(found) {
    chosen = -1
    results.replaceChildren(...found.map(toItem))
    if (found.length === 0)
      results.append(Object.assign(document.createElement('li'), { className: 'none', textContent: 'Nothing found.' }))
    results.hidden = false
  }

  function choose(step) {
    const items = [...results.querySelectorAll('li:not(.none)')]
    if (items.length === 0) return
    chosen = (chosen + step + items.length) % items.length
    for (const [at, item] of items.entries()) item.classList.toggle('chosen', at === chosen)
    items[chosen].scrollIntoView({ block: 'nearest' })
  }

  input.addEventListener('focus', load, { once: true })
  input.addEventListener('input', async () => {
    const entries = await load()
    if (input.value.trim() === '') results.hidden = true
    else show(find(entries, input.value))
  })
  input.addEventListener('keydown', event => {
    if (event.key === 'Escape') results.hidden = true
    else if (event.key === 'ArrowDown') choose(1)
    else if (event.key === 'ArrowUp') choose(-1)
    else if (event.key === 'Enter' && !results.hidden) results.querySelectorAll('a')[Math.max(0, chosen)]?.click()
    else return
    event.preventDefault()
  })
  box.addEventListener('focusout', ({ relatedTarget }) => {
    if (relatedTarget !== null && !box.contains(relatedTarget)) results.hidden = true
  })
  document.addEventListener('click', event => {
    if (!box.contains(event.target) || event.target.closest('#results a')) results.hidden = true
  })
  document.addEventListener('keydown', event => {
    if (event.key !== '/' || event.target.closest('input, textarea, select, [contenteditable]')) return
    event.preventDefault()
    input.focus()
  })
}

function toItem({ entry, extract }) {
  const link = document.createElement('a')
  link.href = entry.path
  link.append(entry.heading === '' ? entry.page : `${entry.page} › ${entry.heading}`)
  link.append(Object.assign(document.createElement('small'), { textContent: extract }))
  const item = document.createElement('li')
  item.append(link)
  return item
}

setUpMenu()
showCurrent()
setUpAddresses()
setUpCopying()
setUpTables()
setUpContents()
setUpSearch()
