// What the history checker reports.

export type ViolationKind =
  | 'lost'
  | 'duplicated'
  | 'reordered'
  | 'leaked'
  | 'invented'
  | 'torn'
  | 'gap missed'
  | 'gap false'
  | 'iteration ended'
  | 'too many attempts'
  | 'ghost'
  | 'member missed'
  | 'left early'
  | 'members late'
  | 'members invalid'
  | 'state wrong'

export interface Violation {
  kind: ViolationKind
  channel: string
  /** Missing for a violation by publishers. */
  client?: string
  attempt?: number
  /** The id of the event, or an id of the time of the violation. */
  id: number
  text: string
}

export type Report = (violation: Violation) => void

export const MICROS_PER_MILLI = 1_000
