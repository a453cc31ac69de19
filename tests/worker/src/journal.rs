//! Durable Objects with any JSON events.

use durable_event_iterator::{
    Audience, BigInt, Call, Channel, Code, Date, DurableEventIteratorObject, Error, EventId, Object, Options,
    Presence, Procedures, PublishOptions, Result, Revocation, RpcMethods, SqlStorageValue, Transaction,
    Undefined, Upload, Value, durable_object,
};
use serde::{Deserialize, Serialize};
use std::{cell::RefCell, rc::Rc, time::Duration};
use worker::{Delay, Env};

/// The default options.
pub struct Usual;
/// Retains events for one second, and does not delete them by an alarm.
pub struct Short;
/// Retains events for one second, and deletes them by an alarm.
pub struct Swept;
/// Retains at most eight events, and serves oRPC's publisher.
pub struct Few;
/// Retains events for three seconds: enough for a fast reconnect, but not for a slow one.
pub struct Brief;
/// Retains enough events for a replay of many steps.
pub struct Roomy;
/// `DurableIterator` clients start with events published after they subscribe.
pub struct Live;
/// Keeps idempotency keys for one second.
pub struct Forgetful;
/// Retains at most eight events, accepts at most two sockets of a subject, and writes metrics and a line for each anomaly.
pub struct Measured;
/// Accepts at most three sockets, and two for each connection id and subject.
pub struct Capped;

/// Serves oRPC's publisher.
pub struct Published;
/// Serves oRPC's publisher, retains at most eight events and accepts at most three sockets.
pub struct FewPublished;

/// Has options outside their limits.
pub struct Invalid;

/// Keeps sockets open after their tokens have expired.
pub struct Lasting;

/// The value of a placeholder.
#[derive(Deserialize)]
#[serde(untagged)]
enum Binding {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Null(()),
}

impl From<Binding> for SqlStorageValue {
    fn from(binding: Binding) -> Self {
        match binding {
            Binding::Boolean(value) => value.into(),
            Binding::Integer(value) => value.into(),
            Binding::Float(value) => value.into(),
            Binding::Text(value) => value.into(),
            Binding::Bytes(value) => value.into(),
            Binding::Null(()) => Self::Null,
        }
    }
}

/// A class of these Durable Objects.
pub trait Kind: 'static {
    /// The options of the class.
    fn options() -> Options {
        Options::default()
    }
}

impl Kind for Usual {}

impl Kind for Lasting {
    fn options() -> Options {
        Options::default().keep_expired_sockets()
    }
}

impl Kind for Short {
    fn options() -> Options {
        Options::default().event_retention(Duration::from_secs(1)).prune_by_alarm(false)
    }
}

impl Kind for Swept {
    fn options() -> Options {
        Options::default().event_retention(Duration::from_secs(1))
    }
}

impl Kind for Few {
    fn options() -> Options {
        Options::default().retained_events(8).publisher()
    }
}

impl Kind for Brief {
    fn options() -> Options {
        Options::default().event_retention(Duration::from_secs(3)).publisher()
    }
}

impl Kind for Roomy {
    fn options() -> Options {
        Options::default().event_retention(Duration::from_secs(3_600)).publisher()
    }
}

impl Kind for Live {
    fn options() -> Options {
        Options::default().start_durable_iterators_live()
    }
}

impl Kind for Capped {
    fn options() -> Options {
        Options::default().max_sockets(3).max_sockets_per_connection(2).max_sockets_per_subject(2)
    }
}

impl Kind for Published {
    fn options() -> Options {
        Options::default().event_retention(Duration::from_secs(3_600)).publisher()
    }
}

impl Kind for FewPublished {
    fn options() -> Options {
        Options::default().retained_events(8).max_sockets(3).publisher()
    }
}

impl Kind for Invalid {
    fn options() -> Options {
        Options::default().max_calls(0)
    }
}

impl Kind for Measured {
    fn options() -> Options {
        Options::default().retained_events(8).max_sockets_per_subject(2).metrics("METRICS").log_anomalies()
    }
}

impl Kind for Forgetful {
    fn options() -> Options {
        Options::default().idempotency_window(Duration::from_secs(1))
    }
}

/// The data of an error, with types that JSON does not have.
#[derive(Debug, Serialize)]
struct Clash {
    since: Date,
    count: BigInt,
}

/// The recipients of an event, by the attachments of their sockets.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Who {
    to: Option<Vec<Value>>,
    to_ids: Vec<String>,
    tags: Option<Vec<String>>,
    except: Vec<Value>,
}

/// The attachment of a socket.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    value: Value,
}

type JournalChannel = Channel<Value, Value, Kept>;

/// A step of a transaction.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Step {
    Publish(Value),
    /// Publishes an event with an idempotency key.
    Once(Value, String),
    Sql(String),
    /// Sends a live event.
    Live(Value),
    Prune(Undefined),
    /// Sets the presence state of all members.
    SetPresence(Value),
    /// Publishes a batch.
    Batch(Vec<Value>),
    /// Runs a nested transaction. Its failure does not fail the outer transaction.
    Nested(Vec<Step>),
    Fail(String),
}

/// Runs the steps until the end or the first error. Returns the ids of the published events.
fn run(
    channel: &JournalChannel,
    tx: Option<&Transaction<'_, Value, Value, Kept>>,
    steps: &[Step],
    ids: &mut Vec<EventId>,
) -> Result<()> {
    for step in steps {
        match (step, tx) {
            (Step::Publish(event), Some(tx)) => ids.push(tx.publish(event)?),
            (Step::Publish(event), None) => ids.push(channel.publish(event)?),
            (Step::Once(event, key), Some(tx)) => {
                ids.push(tx.publish_with(event, PublishOptions::new().idempotency_key(key))?.id)
            }
            (Step::Once(event, key), None) => {
                ids.push(channel.publish_with(event, PublishOptions::new().idempotency_key(key))?.id)
            }
            (Step::Batch(events), Some(tx)) => ids.extend(tx.publish_batch(events)?),
            (Step::Batch(events), None) => ids.extend(channel.publish_batch(events)?),
            (Step::Sql(sql), Some(tx)) => drop(tx.sql().exec(sql, None)?),
            (Step::Sql(sql), None) => drop(channel.sql().exec(sql, None)?),
            (Step::Live(event), _) => channel.send_live(&channel.sockets()?, event)?,
            (Step::Prune(_), _) => drop(channel.prune()?),
            (Step::SetPresence(state), _) => {
                channel.sockets()?.iter().try_for_each(|socket| socket.set_presence(state))?
            }
            (Step::Nested(steps), _) => {
                let _ = channel.transaction(|tx| run(channel, Some(tx), steps, ids));
            }
            (Step::Fail(message), _) => return Err(Error::new(Code::Conflict).message(message)),
        }
    }
    Ok(())
}

/// A Durable Object with any JSON events.
pub struct Journal<K> {
    channel: JournalChannel,
    kind: std::marker::PhantomData<K>,
}

impl<K: Kind> DurableEventIteratorObject for Journal<K> {
    type Channel = JournalChannel;

    fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
        Ok(Self { channel, kind: std::marker::PhantomData })
    }

    /// The variable `PRESENCE` turns on presence, with the grace period `PRESENCE_GRACE_SECONDS`.
    fn options(env: &Env) -> Options {
        // Natively there are no variables.
        let Some(Ok(key)) = cfg!(target_arch = "wasm32").then(|| env.var("PRESENCE")) else {
            return K::options();
        };
        let mut presence = match key.to_string().as_str() {
            "subject" => Presence::by_subject(),
            _ => Presence::by_connection(),
        };
        let grace =
            env.var("PRESENCE_GRACE_SECONDS").ok().and_then(|seconds| seconds.to_string().parse().ok());
        if let Some(seconds) = grace {
            presence = presence.grace(Duration::from_secs(seconds));
        }
        K::options().presence(presence)
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
            .procedure("publish", async |journal: &Self, call: Call<Self>, event: Value| {
                Ok(journal.channel.publish_with(&event, Audience::everyone().except(&call.socket))?.id)
            })
            .procedure("keep", async |_: &Self, call: Call<Self>, value: Value| {
                call.socket.set_attachment(&Kept { value })
            })
            .procedure("kept", async |_: &Self, call: Call<Self>, ()| {
                Ok(call.socket.attachment()?.map_or(Value::Undefined, |kept| kept.value))
            })
            .procedure("whoAmI", async |_: &Self, call: Call<Self>, ()| call.socket.token_attachment())
            // Fails like a call with an expired token, but after it had an effect.
            .procedure("publishAndFail", async |journal: &Self, _, event: Value| {
                journal.channel.publish(&event)?;
                Err::<Undefined, _>(Error::new(Code::Unauthorized).message("Token expired"))
            })
            // Never responds: the call and its input stay in flight until the client aborts it.
            .procedure("hold", async |_: &Self, _, value: Value| {
                std::future::pending::<()>().await;
                Ok(value)
            })
            // Runs SQL, and shows how its values arrive.
            .procedure("sql", async |journal: &Self, _, (query, bindings): (String, Vec<Binding>)| {
                let bindings: Vec<_> = bindings.into_iter().map(SqlStorageValue::from).collect();
                Ok(match journal.channel.sql().exec(&query, bindings) {
                    Ok(rows) => (rows.columns().to_vec(), format!("{:?}", rows.rows())),
                    Err(error) => (Vec::new(), format!("storage failure: {}", error.is_storage_failure())),
                })
            })
            .upload("holdItems", async |_: &Self, _, values: Upload<Value>| {
                std::future::pending::<()>().await;
                drop(values);
                Ok(())
            })
            // Disconnects its own client, and never responds.
            .upload("leave", async |journal: &Self, _, values: Upload<Value>| {
                journal.channel.disconnect(&Audience::everyone(), "Left")?;
                std::future::pending::<()>().await;
                drop(values);
                Ok(())
            })
    }

    fn rpc_methods() -> RpcMethods<Self> {
        RpcMethods::new()
            .method("publishMany", async |journal: &Self, (count, size): (u32, Option<usize>)| {
                let padding = "x".repeat(size.unwrap_or_default());
                for n in 1..=count {
                    let event = [("n", Value::from(n)), ("padding", Value::from(padding.as_str()))];
                    journal.channel.publish(&Object::from_iter(event).into())?;
                }
                Ok(())
            })
            .method("publishOnce", async |journal: &Self, (event, key): (Value, String)| {
                journal.channel.publish_with(&event, PublishOptions::new().idempotency_key(key))
            })
            .method(
                "publishWithMeta",
                async |journal: &Self, (event, retry, comments): (Value, Option<u32>, Vec<String>)| {
                    let mut options = PublishOptions::new();
                    if let Some(retry) = retry {
                        options = options.retry(Duration::from_millis(retry.into()));
                    }
                    let options = comments.into_iter().fold(options, PublishOptions::comment);
                    Ok(journal.channel.publish_with(&event, options)?.id)
                },
            )
            .method("publishFor", async |journal: &Self, (event, who): (Value, Who)| {
                let among = |values: Vec<Value>| {
                    journal.channel.sockets_where(|socket| {
                        socket
                            .attachment()
                            .is_ok_and(|kept| kept.is_some_and(|kept| values.contains(&kept.value)))
                    })
                };
                let mut audience = Audience::everyone().except_sockets(&among(who.except)?);
                if let Some(values) = who.to {
                    audience = audience.to_sockets(&among(values)?);
                }
                for id in who.to_ids {
                    audience = audience.to(id);
                }
                if let Some(tags) = who.tags {
                    audience = audience.tagged_any(tags);
                }
                Ok(journal.channel.publish_with(&event, audience)?.id)
            })
            // A batch from inside of the Durable Object. Each event has a key, if `keys` is not empty.
            .method("publishInBatch", async |journal: &Self, (events, keys): (Vec<Value>, Vec<String>)| {
                let keys = keys.iter().map(Some).chain(std::iter::repeat(None));
                let options = keys.map(|key| match key {
                    Some(key) => PublishOptions::new().idempotency_key(key),
                    None => PublishOptions::new(),
                });
                journal.channel.publish_batch_with(events.iter().zip(options))
            })
            .method("sendLive", async |journal: &Self, (event,): (Value,)| {
                let sockets = journal.channel.sockets()?;
                journal.channel.send_live(&sockets, &event)
            })
            .method("kept", async |journal: &Self, ()| {
                let sockets = journal.channel.sockets()?;
                sockets
                    .iter()
                    .map(|socket| Ok(socket.attachment()?.map(|kept| kept.value)))
                    .collect::<Result<Vec<_>>>()
            })
            .method("closeAll", async |journal: &Self, (code,): (u16,)| {
                for socket in journal.channel.sockets()? {
                    socket.close(code, "closed by the test");
                }
                Ok(())
            })
            // In the same turn of the event loop.
            .method("disconnectAndPublish", async |journal: &Self, (id, event): (String, Value)| {
                let closed =
                    journal.channel.disconnect(&Audience::everyone().to(id), "Disconnected by the test")?;
                journal.channel.publish(&event)?;
                Ok(closed)
            })
            .method("revokeAndPublish", async |journal: &Self, (subject, event): (String, Value)| {
                let closed = journal.channel.revoke(&Revocation::subject(subject), "Revoked by the test")?;
                journal.channel.publish(&event)?;
                Ok(closed)
            })
            .method("transact", async |journal: &Self, (steps,): (Vec<Step>,)| {
                let mut ids = Vec::new();
                let done =
                    journal.channel.transaction(|tx| run(&journal.channel, Some(tx), &steps, &mut ids));
                Ok((ids, done.err().map(|error| error.to_string())))
            })
            // The same in a slow asynchronous transaction of the storage.
            .method("transactSlowly", async |journal: &Self, (steps, end): (Vec<Step>, String)| {
                let ids = Rc::new(RefCell::new(Vec::new()));
                let (channel, all) = (journal.channel.clone(), Rc::clone(&ids));
                let storage = journal.channel.storage();
                let done = storage.transaction(async move |tx| {
                    let (first, rest) = steps.split_at(steps.len().min(1));
                    let done = run(&channel, None, first, &mut all.borrow_mut());
                    Delay::from(Duration::from_millis(20)).await;
                    let done = done.and_then(|()| run(&channel, None, rest, &mut all.borrow_mut()));
                    done.map_err(|error| worker::Error::RustError(error.to_string()))?;
                    if end == "roll back" {
                        tx.rollback()?;
                        run(&channel, None, rest, &mut all.borrow_mut()).ok();
                    }
                    Ok(())
                });
                let done = done.await;
                Ok((ids.take(), done.err().map(|error| error.to_string())))
            })
            .method("erase", async |journal: &Self, ()| journal.channel.erase().await)
            .method("wipe", async |journal: &Self, ()| {
                journal.channel.storage().delete_all().await?;
                Ok(())
            })
            // Simulates that the last event was stored while the clock was an hour ahead.
            .method("putAhead", async |journal: &Self, (id,): (String,)| {
                #[derive(Deserialize)]
                struct Table {
                    name: String,
                }
                let sql = journal.channel.sql();
                let tables = "SELECT name FROM sqlite_master WHERE name GLOB 'dei_events_*'";
                for Table { name } in sql.exec(tables, None)?.to_array::<Table>()? {
                    let hour_us = 3_600_000_000_u64;
                    sql.exec(&format!("UPDATE {name} SET id = id + {hour_us} WHERE id = {id}"), None)?;
                }
                Ok(())
            })
            .method("tables", async |journal: &Self, (kind,): (Option<String>,)| {
                #[derive(Deserialize)]
                struct Table {
                    name: String,
                    rows: u32,
                }
                let sql = journal.channel.sql();
                let kind = kind.unwrap_or_else(|| "events".to_owned());
                let tables =
                    format!("SELECT name, 0 AS rows FROM sqlite_master WHERE name GLOB 'dei_{kind}_*'");
                let mut rows = Vec::new();
                for Table { name, .. } in sql.exec(&tables, None)?.to_array::<Table>()? {
                    let count = format!("SELECT '{name}' AS name, count(*) AS rows FROM {name}");
                    rows.extend(sql.exec(&count, None)?.to_array::<Table>()?);
                }
                Ok(rows.into_iter().map(|Table { name, rows }| (name, rows)).collect::<Vec<_>>())
            })
            .method("channelName", async |journal: &Self, ()| {
                Ok(journal.channel.name().map(|name| name.to_string()))
            })
            .method("prune", async |journal: &Self, ()| journal.channel.prune().map(drop))
            .method("refuse", async |_: &Self, ()| {
                let data = Clash { since: Date::from_millis(0), count: BigInt::from(1_u8) };
                Err::<Undefined, _>(Error::new(Code::Conflict).message("Already there.").data(data))
            })
            .method("fail", async |_: &Self, ()| {
                let number: u8 = "not a number, and nobody's business".parse()?;
                Ok(number)
            })
            // A name that the Workers runtime uses: a call on a stub must still reach the runtime's method.
            .method("fetch", async |_: &Self, ()| Ok("not this"))
    }
}

durable_object!(pub UsualJournal: Journal<Usual>);
durable_object!(pub ShortJournal: Journal<Short>);
durable_object!(pub SweptJournal: Journal<Swept>);
durable_object!(pub FewJournal: Journal<Few>);
durable_object!(pub RoomyJournal: Journal<Roomy>);
durable_object!(pub BriefJournal: Journal<Brief>);
durable_object!(pub LastingJournal: Journal<Lasting>);
durable_object!(pub LiveJournal: Journal<Live>);
durable_object!(pub ForgetfulJournal: Journal<Forgetful>);
durable_object!(pub MeasuredJournal: Journal<Measured>);
durable_object!(pub CappedJournal: Journal<Capped>);
durable_object!(pub PublishedJournal: Journal<Published>);
durable_object!(pub FewPublishedJournal: Journal<FewPublished>);
durable_object!(pub InvalidJournal: Journal<Invalid>);
