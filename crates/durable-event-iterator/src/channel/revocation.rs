//! Revoking tokens before they expire.

use super::{Channel, ChannelCore, MICROS_PER_MILLI};
use crate::{
    error::{Code, Error, Result},
    runtime,
    socket::{close_code, session::Session},
};
use durable_event_log::{EventId, MAX_LEAD_US, TokenParts};
use std::time::{Duration, SystemTime};

/// The tokens that [`Channel::revoke`] revokes.
///
/// ```
/// use durable_event_iterator::Revocation;
/// use std::time::Duration;
///
/// let of_a_user = Revocation::subject("user-7");
/// let of_a_client = Revocation::connection("c7d0…");
/// // After a key has leaked, and is no longer used.
/// let of_last_week = Revocation::issued_before(durable_event_iterator::now() - Duration::from_secs(7 * 86_400));
/// # let _ = (of_a_user, of_a_client, of_last_week);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it has no effect until it is passed to `revoke`"]
pub struct Revocation(pub(crate) durable_event_log::Revocation);

impl Revocation {
    /// Returns the revocation of the tokens that were issued until now and are used with this connection id.
    ///
    /// A client chooses its connection id: one that is not ours can use the same token with another id. Against a user, revoke the
    /// [subject](Self::subject).
    pub fn connection(id: impl Into<String>) -> Self {
        Self(durable_event_log::Revocation::Connection(id.into()))
    }

    /// Returns the revocation of the tokens of a subject (the claim `sub`, see
    /// [`TokenBuilder::subject`](durable_event_token::TokenBuilder::subject)) that were issued until now.
    pub fn subject(subject: impl Into<String>) -> Self {
        Self(durable_event_log::Revocation::Subject(subject.into()))
    }

    /// Returns the revocation of all tokens that were issued before a time.
    pub fn issued_before(time: SystemTime) -> Self {
        let micros = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        Self(durable_event_log::Revocation::IssuedBefore(EventId::saturating(micros).as_micros()))
    }
}

/// The error of a client whose token is revoked.
pub(crate) fn revoked() -> Error {
    Error::new(Code::Unauthorized).message(REVOKED)
}

/// The text of the response to a revoked token, and the reason of a close frame if the caller states none.
pub(crate) const REVOKED: &str = "Token revoked";

impl<E, T, S> Channel<E, T, S> {
    /// Revokes tokens of this channel before they expire, closes the sockets that use them, and returns the number of these sockets.
    /// `reason` is truncated to 123 bytes.
    ///
    /// The effect on open sockets is that of [`Channel::disconnect`], with close code 1008. A revoked token is rejected from then on:
    /// for WebSockets, and for reading and calls over HTTP. Revocations are stored: they survive hibernation and restarts.
    ///
    /// A token that is issued later is accepted: whether a client receives one is the decision of the server that issues tokens. Times
    /// of issue are whole seconds, so a token that is issued later within the same second is rejected too. Our client requests a new
    /// one. If the channel knows that an issuer's clock is ahead, it rejects tokens of that much longer.
    ///
    /// A channel keeps up to 10,000 revocations; then the oldest ones become one that revokes all tokens issued before them. Deleting
    /// the Durable Object's storage deletes revocations. In a transaction that is rolled back, sockets are closed, but nothing is
    /// revoked.
    ///
    /// ```
    /// use durable_event_iterator::{Channel, Result, Revocation};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Message {
    ///     text: String,
    /// }
    ///
    /// fn ban(room: &Channel<Message>, user: &str) -> Result<usize> {
    ///     room.revoke(&Revocation::subject(user), "Banned")
    /// }
    /// ```
    ///
    /// # Errors
    /// BAD_REQUEST for a time that is more than a day in the future, [`Error::is_storage_failure`], or an error of the Workers runtime
    /// while listing the sockets. Nothing was revoked, and no socket was closed.
    pub fn revoke(&self, revocation: &Revocation, reason: &str) -> Result<usize> {
        self.core.revoke(revocation, reason)
    }
}

/// The parts of a session's token that revocations are about.
fn parts(session: &Session) -> TokenParts<'_> {
    let Session { connection, claims, .. } = session;
    TokenParts {
        connection: connection.as_deref(),
        subject: claims.subject.as_deref(),
        issued_at: claims.iat,
    }
}

/// How far in the future [`Revocation::issued_before`] may be, a day, as far as a token issuer's clock may be ahead. Until
/// that time the channel accepts no token.
pub(crate) const MAX_AHEAD: Duration = Duration::from_micros(MAX_LEAD_US);

impl ChannelCore {
    pub(crate) fn revoke(&self, Revocation(revocation): &Revocation, reason: &str) -> Result<usize> {
        let now_us = runtime::now_ms().saturating_mul(MICROS_PER_MILLI);
        if let durable_event_log::Revocation::IssuedBefore(time) = revocation
            && *time > now_us.saturating_add(MAX_LEAD_US)
        {
            let message = "Tokens can be revoked that were issued before a time at most a day in the future.";
            return Err(Error::new(Code::BadRequest).message(message));
        }
        let clients = self.with_log(|log, _| {
            self.of_clients(|raw, session| {
                let is_revoked = log.revokes(now_us, revocation, &parts(session));
                is_revoked.then_some((raw, session.claims.iat))
            })
        })?;
        let (clients, issued): (Vec<_>, Vec<_>) = clients.into_iter().unzip();
        self.again_if_deleted(|| {
            self.with_log(|log, sql| log.revoke(sql, now_us, revocation, issued.iter().copied()))
        })?;
        self.close_clients(&clients, close_code::POLICY, reason);
        Ok(clients.len())
    }

    /// Returns whether the token of a session is revoked. Without revocations it runs no statement.
    ///
    /// # Errors
    /// SERVICE_UNAVAILABLE if the storage fails: the token must not be accepted then.
    pub(crate) fn is_revoked(&self, session: &Session) -> Result<bool> {
        self.is_token_revoked(&parts(session))
    }

    /// Does the same for the parts of a token.
    pub(crate) fn is_token_revoked(&self, token: &TokenParts<'_>) -> Result<bool> {
        let now_us = runtime::now_ms().saturating_mul(MICROS_PER_MILLI);
        let is_revoked =
            self.again_if_deleted(|| self.with_log(|log, sql| log.is_revoked(sql, now_us, token)));
        is_revoked.map_err(Error::into_temporary)
    }

    /// Runs `work`, once again after a storage failure: the application may have dropped the table of revocations, and the log is then
    /// opened again.
    fn again_if_deleted<R>(&self, work: impl Fn() -> Result<R>) -> Result<R> {
        work().or_else(|error| if error.is_storage_failure() { work() } else { Err(error) })
    }
}
