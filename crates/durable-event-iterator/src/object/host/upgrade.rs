//! Upgrade requests.

use super::Host;
use crate::{
    counters::Anomaly,
    object::DurableEventIteratorObject,
    runtime::{OpenedSocket, UpgradeRequest, Verdict},
    socket::session::{Membership, Session},
    upgrade::{self, Accepted, Rejection},
};

impl<O: DurableEventIteratorObject> Host<O> {
    /// Opens a socket for an upgrade request that a Worker has forwarded.
    pub(in crate::object) fn upgrade(&self, request: &UpgradeRequest) -> Result<OpenedSocket, Rejection> {
        let opened = self.try_upgrade(request);
        match &opened {
            Ok(_) => self.core.counters.count(|counters| &counters.opened),
            Err(rejection) => self.core.counters.report(Anomaly::Rejected(rejection.reason())),
        }
        opened
    }

    fn try_upgrade(&self, request: &UpgradeRequest) -> Result<OpenedSocket, Rejection> {
        let keys = self.keys().ok_or(Rejection::NoKeys)?; // the log states what to do
        // The Worker has verified the token too, but any Worker with a binding of the namespace can send requests.
        let Accepted { claims, connection_id, is_call, .. } = upgrade::read(request, keys)?;
        match self.core.identity.is(claims.channel().as_str())? {
            Verdict::Yes => {}
            Verdict::No => return Err(Rejection::OtherChannel),
            Verdict::Unknown => return Err(Rejection::NoName),
        }
        let connection = connection_id.map(|id| id.as_str().to_owned());
        let mut session = Session::new(&claims, connection, self.options().enforce_expiry);
        // Reserves space, so that a subscription can make the client a member.
        session.member =
            self.options().presence.as_ref().map(|_| Membership { is_call, ..Membership::default() });
        let attachment = session.encode().map_err(|_| Rejection::AttachmentTooLarge)?;
        self.core.note_token(session.claims.iat, session.claims.exp);
        if self.core.is_revoked(&session).map_err(Rejection::Storage)? {
            return Err(Rejection::Revoked);
        }
        let tags = self.caps.admit(&self.core.hub, self.options(), &claims, session.connection.as_deref())?;
        let accepted = self.core.hub.accept(&tags, &attachment);
        let (response, _) = accepted.map_err(|error| self.caps.rejection(&self.core.hub, error))?;
        self.core.ensure_alarm(); // setting it may have failed before
        Ok(response)
    }
}
