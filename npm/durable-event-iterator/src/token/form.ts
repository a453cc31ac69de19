/** How a generation writes its tokens. */
export interface TokenForm {
  /** Writes a payload and its signature. */
  seal(payload: string, sign: (message: string) => Promise<string>): Promise<string>
  /** Takes a token apart; nothing says yet that the signature is right. `undefined` for what has another form. */
  open(token: string): OpenedToken | undefined
}

export interface OpenedToken {
  /** JSON. */
  readonly payload: string
  /** What is signed. */
  readonly message: string
  /** As base64url. */
  readonly signature: string
}
