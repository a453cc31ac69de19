// The tables of the measurements of clients. `npm run bench -- clients --report` writes them into docs/performance.md;
// `node bench/clients/report.ts` writes the last results again.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import '../../tests/support/sources.ts'
import { table, textOf, whole, writeSections } from '../document.ts'
import type { Setting } from '../document.ts'
import { quantile, spread } from '../measure.ts'
import type { Latencies, Latency } from './latency.ts'
import type { BundleName, Sizes } from './sizes.ts'
import type { ScenarioName, Storm } from './storm.ts'

export const PARTS = ['storm', 'latency', 'sizes'] as const

/** The parts of the last measurements, each with its environment. */
export interface ClientMeasurements {
  storm?: { setting: Setting; rounds: Record<ScenarioName, Storm[]> }
  latency?: { setting: Setting } & Latencies
  /** `before`: the link plugin before it was an adapter of the standalone client. */
  sizes?: { setting: Setting; now: Sizes; before?: Sizes }
}

/** The largest share of clients that may reconnect within one second after a restart, at default settings. */
export const largestShareAllowed = 0.15

const MEASUREMENTS = new URL('../clients.json', import.meta.url)

/** Stores the measured parts, and writes all parts into the documentation. */
export function saveParts(measured: ClientMeasurements): void {
  const stored = existsSync(MEASUREMENTS) ? read() : {}
  const before = measured.sizes?.before ?? stored.sizes?.before
  const all: ClientMeasurements = { ...stored, ...measured }
  if (all.sizes !== undefined && before !== undefined) all.sizes = { ...all.sizes, before }
  writeFileSync(MEASUREMENTS, `${JSON.stringify(all, undefined, 2)}\n`)
  render(all)
}

const read = (): ClientMeasurements => JSON.parse(readFileSync(MEASUREMENTS, 'utf8')) as ClientMeasurements

function render({ storm, latency, sizes }: ClientMeasurements): void {
  writeSections({
    ...(storm === undefined ? {} : { restarts: [`${textOf(storm.setting)}.`, ...restarts(storm.rounds)].join('\n\n') }),
    ...(latency === undefined ? {} : { latencies: [`${textOf(latency.setting)}.`, latencyTable(latency)].join('\n\n') }),
    ...(sizes === undefined ? {} : { sizes: sizeTable(sizes) }),
  })
}

/** The same as lines for a terminal. */
export function linesOf({ storm, latency, sizes }: ClientMeasurements): string[] {
  return [
    ...(sizes === undefined ? [] : ['', sizeTable(sizes)]),
    ...(latency === undefined ? [] : ['', latencyTable(latency)]),
    ...(storm === undefined ? [] : restarts(storm.rounds).flatMap((text) => ['', text])),
  ]
}

const share = (part: number): string => `${(100 * part).toFixed(1)} %`
const seconds = (milliseconds: number): string => (milliseconds / 1_000).toFixed(2)

/** The compared clients, and the same clients of the baseline. */
const RESTARTED = {
  subscribe: { title: '`subscribe`', baseline: 'subscribeBaseline' },
  stock: { title: "oRPC 1.16.1's client", baseline: 'stockBaseline' },
} as const
const RESTARTED_NAMES = Object.keys(RESTARTED) as (keyof typeof RESTARTED)[]

function restarts(rounds: Record<ScenarioName, Storm[]>): string[] {
  const { clients } = rounds.subscribe[0]!
  const line = (title: string, cell: (name: keyof typeof RESTARTED) => string): string[] => [title, ...RESTARTED_NAMES.map(cell)]
  const median = (title: string, of: (storm: Storm) => number, format: (number: number) => string): string[] =>
    line(title, (name) => format(quantile(rounds[name].map(of), 0.5)))
  const worst = (title: string, of: (storm: Storm) => number, format: (number: number) => string): string[] =>
    line(title, (name) => format(Math.max(...rounds[name].map(of))))
  const cpu = (storms: Storm[]): string => whole(quantile(storms.map(({ cpu }) => cpu), 0.5))
  return [
    table(
      [`${whole(clients)} clients, ${rounds.subscribe.length === 1 ? 'one restart' : `median of ${rounds.subscribe.length} restarts`}`, ...RESTARTED_NAMES.map((name) => RESTARTED[name].title)],
      [
        median('seconds until the runtime accepts connections', ({ outage }) => outage, seconds),
        median('seconds until half of the clients have recovered', ({ recovery }) => recovery.p50, seconds),
        median('seconds until 99 % have recovered', ({ recovery }) => recovery.p99, seconds),
        median('seconds until all have recovered', ({ recovery }) => recovery.max, seconds),
        worst('largest share of clients that reconnect within one second', ({ peakShare }) => peakShare, share),
        worst('the same for handshakes, failed ones included', ({ peakAttemptShare }) => peakAttemptShare, share),
        median('handshakes per client', ({ attempts }) => attempts, (number) => number.toFixed(2)),
        worst('lost and repeated events', ({ lost, repeated }) => lost + repeated, whole),
        worst('clients that did not recover', ({ clients, recovered }) => clients - recovered, whole),
        line('CPU of the runtime per client, in microseconds', (name) => cpu(rounds[name])),
        line('the same for the baseline', (name) => cpu(rounds[RESTARTED[name].baseline])),
        line('CPU as a multiple of the baseline', (name) => {
          const baseline = rounds[RESTARTED[name].baseline]
          const { median, min, max } = spread(rounds[name].map(({ cpu }, round) => cpu / baseline[round]!.cpu))
          return `**${median.toFixed(2)}** (${min.toFixed(2)}–${max.toFixed(2)})`
        }),
      ],
    ),
    'Clients that reconnect in each second after the runtime accepts connections, in the first restart:',
    histogram(rounds),
  ]
}

function histogram(rounds: Record<ScenarioName, Storm[]>): string {
  const firsts = RESTARTED_NAMES.map((name) => rounds[name][0]!)
  const length = Math.max(...firsts.map(({ opened }) => opened.length))
  return table(
    ['second', ...RESTARTED_NAMES.map((name) => RESTARTED[name].title)],
    Array.from({ length }, (_, second) => [
      String(second + 1),
      ...firsts.map(({ opened, clients }) => share((opened[second] ?? 0) / clients)),
    ]),
  )
}

function latencyTable({ firstEvent, recovery }: Latencies): string {
  const kinds = Object.keys(firstEvent) as (keyof typeof firstEvent)[]
  const cell = (latency: Latency | undefined, digits: number): string =>
    latency === undefined ? '–' : `${latency.p50.toFixed(digits)} · ${latency.p99.toFixed(digits)} (${latency.runs})`
  return table(
    ['median · 99th percentile in milliseconds (number of runs)', ...kinds.map((kind) => KIND_TITLES[kind])],
    [
      ['from the call to the first event', ...kinds.map((kind) => cell(firstEvent[kind], 1))],
      ['from a lost connection to the next event', ...kinds.map((kind) => cell(recovery[kind], 0))],
    ],
  )
}

const KIND_TITLES: Record<keyof Latencies['firstEvent'], string> = {
  subscribe: '`subscribe`',
  linkV1: 'link plugin with oRPC 1.16.1',
  stock: "oRPC 1.16.1's client",
}

function sizeTable({ now, before }: NonNullable<ClientMeasurements['sizes']>): string {
  const lines = (sizes: Sizes, note = ''): string[][] =>
    (Object.keys(sizes) as BundleName[]).map((name) => {
      const { minified, gzip } = sizes[name]!
      return [`${BUNDLE_TITLES[name]}${note}`, whole(minified), whole(gzip)]
    })
  return table(['', 'minified, bytes', 'with gzip, bytes'], [...lines(now), ...lines(before ?? {}, ', before the standalone client')])
}

const added = (version: 1 | 2): string => `\`/orpc-v${version}\`: added to an application with oRPC ${version}'s client and fetch link`
const BUNDLE_TITLES: Record<BundleName, string> = {
  client: '`/client`: `subscribe`',
  react: '`/react`: the hook, React and `subscribe` not counted',
  tabs: '`/tabs`: `shareBetweenTabs`, added to `subscribe`',
  http: '`/http`: `httpFallback`, added to `subscribe`',
  v1Alone: '`/orpc-v1`: `DurableEventIteratorLinkPlugin`, oRPC not counted',
  v1Added: added(1),
  v1Application: '`/orpc-v1`: the same application in total',
  v2Alone: '`/orpc-v2`: `DurableEventIteratorLinkPlugin`, oRPC not counted',
  v2Added: added(2),
  v2Application: '`/orpc-v2`: the same application in total',
}

if (import.meta.main) render(read())
