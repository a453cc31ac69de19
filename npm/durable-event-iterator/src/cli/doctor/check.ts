/** The result of a check. */
export interface Finding {
  readonly status: 'ok' | 'warning' | 'failed' | 'skipped'
  /** What was checked. */
  readonly title: string
  /** What was found. */
  readonly detail: string
  /** What to do. */
  readonly advice?: string
}

export const ok = (title: string, detail: string): Finding => ({ status: 'ok', title, detail })
export const warning = (title: string, detail: string, advice: string): Finding => ({ status: 'warning', title, detail, advice })
export const failed = (title: string, detail: string, advice: string): Finding => ({ status: 'failed', title, detail, advice })
export const skipped = (title: string, detail: string): Finding => ({ status: 'skipped', title, detail })
