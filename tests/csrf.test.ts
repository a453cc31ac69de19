// Cross-site request forgery with a real browser: requests of pages of another origin to procedures over HTTP, and requests of
// unmodified oRPC clients on pages of the same origin.

import { build } from 'esbuild'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

import { INSTALL_TIMEOUT, launchBrowser } from './support/browser.ts'
import { CLIENT_VERSIONS } from './support/client.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'

const PAGE = `export default { fetch: () => new Response('<title>a page</title>', { headers: { 'content-type': 'text/html' } }) }`

/** Responds at `/seen` with the headers of the last request: the developer tools do not show cookies of such requests. */
const FRONT = `
import worker from './index.js'
export * from './index.js'
let seen
export default {
  fetch(request, env, ctx) {
    if (new URL(request.url).pathname === '/seen') return Response.json(seen)
    seen = Object.fromEntries(request.headers)
    return new worker(ctx, env).fetch(request)
  },
}`

let workers: Journals
let browser: Browser
let context: BrowserContext | undefined
beforeAll(async () => {
  ;[workers, browser] = await Promise.all([startJournals({ front: FRONT, workers: [{ name: 'page', source: PAGE }] }), launchBrowser()])
}, INSTALL_TIMEOUT)
afterEach(() => context?.close())
afterAll(async () => {
  await browser?.close()
  await workers?.dispose()
})

/** Opens a page in a browser with a session cookie of the server. */
async function open(url: URL): Promise<Page> {
  context = await browser.newContext()
  await context.addCookies([{ name: 'session', value: '1', url: workers.url.origin, sameSite: 'Lax' }])
  const page = await context.newPage()
  await page.goto(url.href)
  return page
}

const BODIES = {
  'a Blob without a type': `new Blob(['{"json":"forged"}'])`,
  'a form': `(() => { const form = new FormData(); form.set('data', '{"json":"forged"}'); return form })()`,
  'no body': 'undefined',
  text: `'{"json":"forged"}'`,
  'URL-encoded data': `new URLSearchParams({ data: '{"json":"forged"}' })`,
}

test.each(Object.entries(BODIES))('a page of another origin that sends cookies cannot run a procedure with %s', async (_, body) => {
  // Another port is another origin of the same site, so its requests have the cookies.
  const page = await open(await workers.urlOf('page'))
  const url = new URL('/rpc/echo', workers.url).href
  const [response] = await Promise.all([
    page.waitForResponse(url),
    page.evaluate(`fetch(${JSON.stringify(url)}, { method: 'POST', mode: 'no-cors', credentials: 'include', body: ${body} })`),
  ])
  expect(response.status()).toBe(403)
  const seen = await (await workers.fetch('/seen')).json()
  expect(seen).toMatchObject({ cookie: 'session=1', origin: new URL(page.url()).origin, 'sec-fetch-site': 'same-site' })
})

test('a page of another origin cannot send JSON, or the header that proves a preflight', async () => {
  const page = await open(await workers.urlOf('page'))
  const url = new URL('/rpc/echo', workers.url).href
  for (const headers of [{ 'content-type': 'application/json' }, { 'x-csrf-token': 'orpc' }]) {
    const options = JSON.stringify({ method: 'POST', credentials: 'include', headers, body: '{}' })
    const sent = page.evaluate(`fetch(${JSON.stringify(url)}, ${options}).then(() => 'sent', () => 'blocked')`)
    expect(await sent).toBe('blocked')
  }
})

test('a form that a page of another origin submits cannot run a procedure', async () => {
  const page = await open(await workers.urlOf('page'))
  const url = new URL('/rpc/echo', workers.url).href
  const form = `<form method="post" enctype="multipart/form-data" action="${url}"><input name="data" value='{"json":"forged"}'></form>`
  await page.evaluate((html) => document.body.insertAdjacentHTML('beforeend', html), form)
  const [response] = await Promise.all([page.waitForResponse(url), page.evaluate(() => document.forms[0]!.submit())])
  expect(response.status()).toBe(403)
})

test.each(CLIENT_VERSIONS)('oRPC %s works on pages of the same origin, with cookies and files', async (version) => {
  const client = `
    import { createORPCClient } from 'orpc-client-${version}'
    import { RPCLink } from 'orpc-client-${version}/fetch'
    const link = (options) => createORPCClient(new RPCLink({ url: location.origin + '/rpc', ...options }))
    globalThis.run = async () => {
      const client = link({})
      const file = await client.echo(new File(['content'], 'a.txt', { type: 'text/plain' }))
      return [await client.echo('x'), await client.echo(), await file.text(), await link({ method: 'GET' }).echo('read')]
    }`
  const { outputFiles } = await build({
    stdin: { contents: client, resolveDir: new URL('..', import.meta.url).pathname },
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
  })
  // A 404 page has the same origin.
  const page = await open(new URL('/nothing', workers.url))
  await page.addScriptTag({ content: outputFiles[0]!.text })
  expect(await page.evaluate('run()')).toEqual(['x', undefined, 'content', 'read'])
})
