/** The text form of the tokens of one kind of clients. */
export interface TokenForm {
  /** Combines a payload and its signature into a token. */
  seal(payload: string, sign: (message: string) => Promise<string>): Promise<string>
  /** Splits a token into its parts, without verification. Returns `undefined` for a text of another form. */
  open(token: string): OpenedToken | undefined
}

export interface OpenedToken {
  /** The claims in JSON. */
  readonly payload: string
  /** The signed text. */
  readonly message: string
  /** In base64url. */
  readonly signature: string
}
