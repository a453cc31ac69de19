// The checks, in the order in which they depend on each other.

import { newConnectionId } from '../../client/upgrade-url.js'
import { TOKEN_PARAMETER, CONNECTION_ID_PARAMETER } from '../../wire.js'
import { signToken } from '../../token/token.js'
import { errorIn, targetOf, urlOf } from '../api.js'
import { findTokenSource } from '../credentials.js'
import type { Credential } from '../credentials.js'
import { UsageError } from '../errors.js'
import type { Settings } from '../settings.js'
import { plain } from '../text.js'
import { issueToken } from '../tokens.js'
import { findUpgradeUrl, UPGRADE_REQUIRED } from '../upgrade.js'
import { ask } from './answer.js'
import type { Answer } from './answer.js'
import { failed, ok, skipped, warning } from './check.js'
import type { Finding } from './check.js'
import { clockByTokens, clockFinding, leadOf, PROBE_LIFETIME } from './clock.js'
import { compatibilityFinding } from './compatibility.js'
import { describe, keyFindings } from './keys.js'
import { openSocket } from './socket.js'

export interface ExamineOptions {
  readonly channel: string
  /** The origin of pages that read over HTTP. */
  readonly origin: string | undefined
}

const READ_LOG = 'read the log of the Worker (`npx wrangler tail`)'

const SET_SIGNING_KEY =
  'set it (`npx wrangler secret put SIGNING_KEY`, or a line SIGNING_KEY=… in .dev.vars); the log of the Worker (`npx wrangler tail`) states the reason'

/** The lifetime of the tokens of the checks, in seconds. */
const TOKEN_LIFETIME = 60

/** The beginning of the channel name in tokens that reach no Durable Object. */
const PROBE_CHANNEL = 'durable-event-iterator doctor '

/** Checks a Worker. Yields each finding as soon as it is known. */
export async function* examine(settings: Settings, { channel, origin }: ExamineOptions): AsyncGenerator<Finding, void, void> {
  yield compatibilityFinding()
  const upgradeUrl = (await findUpgradeUrl(settings)) ?? `${settings.url}/`
  const answer = await ask(upgradeUrl)
  if (typeof answer === 'string') return yield unreachable(settings, answer)
  if (!settings.isLocal && settings.url.startsWith('http:')) {
    yield warning('URL', `${settings.url} responds, without encryption: everyone on the way can read keys and tokens`, 'use https:')
  } else yield ok('URL', `${settings.url} responds`)
  const endpoint = endpointFinding(upgradeUrl, answer)
  yield endpoint
  const lead = leadOf(answer)
  const http = await ask(urlOf(settings, channel, 'events', { last: 0 }))
  if (lead !== undefined) yield clockFinding(lead)
  yield* tokenFindings({ settings, channel, upgradeUrl, lead, isEndpoint: endpoint.status === 'ok' })
  const httpEndpoint = httpFinding(settings, http)
  yield httpEndpoint
  if (httpEndpoint.status === 'ok') yield* await keyFindings(settings, channel)
  else yield skipped('access key', 'there is no HTTP endpoint')
  if (origin !== undefined) yield await corsFinding(settings, channel, origin)
}

function unreachable({ url, isLocal }: Settings, reason: string): Finding {
  const advice = isLocal
    ? 'start the Worker (`npx wrangler dev`), or pass --url (or set DEI_URL)'
    : 'check --url (or DEI_URL), the network, and that the Worker is deployed'
  return failed('URL', `${url} does not respond: ${plain(reason)}`, advice)
}

function endpointFinding(url: string, answer: Answer): Finding {
  const title = 'upgrade endpoint'
  const { status, headers } = answer
  if (status === UPGRADE_REQUIRED) return ok(title, url)
  const advice = 'pass --upgrade-path (or set DEI_UPGRADE_PATH) with the path of the WebSocket endpoint, such as /events'
  if (status >= 300 && status < 400) {
    return failed(title, `${url} responds with a redirect to ${targetOf(headers)}, which a WebSocket cannot follow`, 'pass the final URL as --url')
  }
  if (status === 500) return failed(title, `${url} responds with ${describe(answer)}: the secret SIGNING_KEY of the Worker is probably not set`, SET_SIGNING_KEY)
  if (status > 500) return failed(title, `${url} responds with ${describe(answer)}`, READ_LOG)
  return failed(title, `${url} responds with ${describe(answer)} instead of 426: there is no upgrade endpoint`, advice)
}

interface TokenCheck {
  readonly settings: Settings
  readonly channel: string
  readonly upgradeUrl: string
  readonly lead: number | undefined
  readonly isEndpoint: boolean
}

async function* tokenFindings({ settings, channel, upgradeUrl, lead, isEndpoint }: TokenCheck): AsyncGenerator<Finding, void, void> {
  let credential: Credential | undefined
  try {
    credential = findTokenSource(settings)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return yield failed('token', error.message, 'issue a token: `npx durable-event-iterator token`')
  }
  if (credential === undefined) {
    const hint = settings.unusedFile === undefined ? '' : `; ${settings.unusedFile} is not used for another machine, unless --vars-file names it`
    return yield skipped('signing key', `none is set (SIGNING_KEY)${hint}`)
  }
  const title = credential.kind
  if (!isEndpoint) return yield skipped(title, 'there is no upgrade endpoint')
  const urlWith = (token: string): string =>
    `${upgradeUrl}?${new URLSearchParams({ [TOKEN_PARAMETER]: token, [CONNECTION_ID_PARAMETER]: newConnectionId() })}`
  // A request that is not an upgrade: the Worker checks the token, and no Durable Object is reached.
  const check = async (token: string): Promise<Answer | string> => ask(urlWith(token))
  let token = credential.text
  if (credential.kind === 'signing key') {
    // URLs appear in logs: these tokens are for a channel that nobody uses.
    const probeChannel = PROBE_CHANNEL + newConnectionId()
    const now = Math.floor((Date.now() - (lead ?? 0)) / 1_000)
    const sign = (claims: { nbf?: number; exp: number }): Promise<string> =>
      signToken({ chn: probeChannel, rpc: [], iat: now, ...claims }, credential.text, 'DurableEventIterator')
    const answer = await check(await sign({ exp: now + PROBE_LIFETIME }))
    const finding = tokenFinding(title, credential.title, answer)
    yield finding
    if (finding.status !== 'ok') return
    if (lead === undefined) {
      yield await clockByTokens(async (times) => {
        const response = await check(await sign(times))
        return typeof response !== 'string' && response.status === UPGRADE_REQUIRED
      })
    }
    // With the time of the server, so that a wrong clock leaves no trace on the channel.
    token = (await issueToken(channel, credential.text, { kind: 'DurableEventIterator', lifetime: TOKEN_LIFETIME, now: Date.now() - (lead ?? 0) })).token
  } else {
    const finding = tokenFinding(title, credential.title, await check(token))
    yield finding
    if (finding.status !== 'ok') return
  }
  yield await socketFinding(urlWith(token), upgradeUrl)
}

function tokenFinding(kind: string, title: string, answer: Answer | string): Finding {
  const name = `${kind} (${title})`
  if (typeof answer === 'string') return failed(name, plain(answer), 'check the network')
  if (answer.status === UPGRADE_REQUIRED) return ok(name, 'the Worker accepts the token')
  if (answer.status === 401) {
    return kind === 'token'
      ? failed(name, 'the Worker rejects the token', 'it has expired, or was signed with another key: issue a new one')
      : failed(name, 'the Worker rejects tokens that are signed with this key', 'set SIGNING_KEY here to the secret SIGNING_KEY of the Worker (`npx wrangler secret put SIGNING_KEY`, or .dev.vars), and check that the date of this machine is correct')
  }
  if (answer.status === 500) {
    return failed(name, 'the Worker responds with status 500: its secret SIGNING_KEY is probably not set', SET_SIGNING_KEY)
  }
  return failed(name, `the Worker responds with ${describe(answer)}`, READ_LOG)
}

async function socketFinding(url: string, upgradeUrl: string): Promise<Finding> {
  const title = 'WebSocket'
  const result = await openSocket(url)
  switch (result.reason) {
    case 'subscribed':
      return ok(title, `${upgradeUrl.replace(/^http/, 'ws')} opens, and the Durable Object accepts a subscription`)
    case 'rejected': {
      const what = `the upgrade is rejected with status ${result.status}${result.text === '' ? '' : ` (${plain(result.text)})`}`
      const advice =
        result.status === 401
          ? 'the Worker accepts the token and the Durable Object does not: give both the same SIGNING_KEY'
          : 'read the log of the Worker (`npx wrangler tail`); a proxy may also reject WebSockets'
      return failed(title, what, advice)
    }
    case 'not subscribed':
      return failed(title, `it opens, but the subscription fails: ${plain(result.text)}`, READ_LOG)
    case 'failed':
      return failed(title, plain(result.text), 'a proxy or firewall may block WebSockets; clients can use the fallback to HTTP')
  }
}

/** The endpoint responds to a request without a token with 401 and the code of an oRPC error. */
function httpFinding({ channels }: Settings, answer: Answer | string): Finding {
  const title = 'HTTP endpoint'
  if (typeof answer === 'string') return failed(title, plain(answer), 'check --url and --prefix')
  const { code } = errorIn(answer.text)
  if (answer.status === 401 && code === 'UNAUTHORIZED') return ok(title, channels)
  return warning(
    title,
    `${channels} responds with ${describe(answer)}: there is no HTTP endpoint, which all commands but token and tail require`,
    'pass --prefix (or set DEI_PREFIX), or add `handleChannelRequest` (Rust: `ChannelEndpoint`) to the Worker',
  )
}

async function corsFinding(settings: Settings, channel: string, origin: string): Promise<Finding> {
  const title = 'CORS'
  const headers = { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' }
  const answer = await ask(urlOf(settings, channel, 'events'), { method: 'OPTIONS', headers })
  if (typeof answer === 'string') return failed(title, plain(answer), 'check --url')
  const allowed = answer.headers.get('access-control-allow-origin')
  if (allowed === '*' || allowed === origin) return ok(title, `pages of ${origin} may read over HTTP`)
  return failed(
    title,
    `pages of ${plain(origin)} cannot read over HTTP (access-control-allow-origin: ${allowed === null ? 'missing' : plain(allowed)})`,
    'add the origin to the variable CORS_ORIGINS of the generic Worker, or to the option `cors` of the endpoint',
  )
}
