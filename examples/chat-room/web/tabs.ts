// Other tabs of the browser with this page.

interface Notice {
  /** The name of the user in the tab. */
  readonly name: string
  /** Whether the tab expects the others to report themselves. */
  readonly asks: boolean
  readonly isClosing: boolean
}

/** Calls the listener with the name of the user in another tab, and with `undefined` if there may be none. */
export function onOtherTab(name: () => string, listener: (name: string | undefined) => void): void {
  let channel: BroadcastChannel | undefined
  const report = (notice: Partial<Notice>): void =>
    channel?.postMessage({ name: name(), asks: false, isClosing: false, ...notice } satisfies Notice)
  addEventListener('pageshow', () => {
    channel ??= new BroadcastChannel('chat-room')
    channel.onmessage = ({ data }: MessageEvent<Notice>) => {
      listener(data.isClosing ? undefined : data.name)
      if (data.asks) report({})
      else if (data.isClosing) report({ asks: true })
    }
    report({ asks: true })
  })
  addEventListener('pagehide', () => {
    report({ isClosing: true })
    channel?.close()
    channel = undefined
  })
}
