// A page of the tests in a browser.

import type { BrowserContext, Page } from 'playwright-core'

import { bundleForBrowser } from './bundle.ts'
import type { ReactVersion } from './bundle.ts'

export interface PageOptions {
  /** The URL of the oRPC server. */
  rpcUrl: URL
  /** The URL of the upgrade endpoint. */
  socketUrl: URL
  version: ReactVersion
  /** The file with the page. */
  script: 'page.tsx' | 'query-page.tsx'
  /** The HTML that the server has rendered. */
  html?: string
  /** Called before the script runs. */
  prepare?: (page: Page) => Promise<unknown>
}

/** Opens a page on the origin of the oRPC server. */
export async function openPage(context: BrowserContext, options: PageOptions): Promise<Page> {
  const { rpcUrl, socketUrl, version, script, html = '', prepare } = options
  const page = await context.newPage()
  await prepare?.(page)
  // The response of a procedure, as a page of the server: browsers block requests to this machine from other pages.
  await page.goto(`${rpcUrl.href}/plain`)
  await page.setContent(`<!doctype html><div id="root">${html}</div>`)
  await page.evaluate((values) => void Object.assign(window, values), { rpcUrl: rpcUrl.href, socketUrl: socketUrl.href })
  await page.addScriptTag({ content: await bundleForBrowser(version, script) })
  return page
}
