//! WebSocket close codes (RFC 6455, section 7.4.1, and the IANA registry).

pub(crate) const NORMAL: u16 = 1000;
pub(crate) const PROTOCOL_ERROR: u16 = 1002;
/// The code of a close frame without a code. It is never sent.
pub(crate) const NO_STATUS: u16 = 1005;
pub(crate) const INVALID_DATA: u16 = 1007;
pub(crate) const POLICY: u16 = 1008;
pub(crate) const TOO_BIG: u16 = 1009;
/// Internal error: the client reconnects and resumes.
pub(crate) const INTERNAL_ERROR: u16 = 1011;
/// Service restart: the client reconnects and resumes.
pub(crate) const RESTART: u16 = 1012;
/// Disconnected by the application, a code for private use: the client reconnects and resumes.
pub(crate) const DISCONNECTED: u16 = 4001;
