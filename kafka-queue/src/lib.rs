//! The one door to librdkafka's partition queues: many messages at a call.
//!
//! rdkafka hands over one message at a time, each as an event of its own from the consumer's common
//! queue: a clock reading, several locks and as many calls across the language border for each. A
//! [`PartitionQueue`] keeps a partition's messages apart from the common queue and takes a thousand
//! of them at a call. What is not taken stays in librdkafka's queue, which is bounded by
//! `queued.max.messages.kbytes` and `queued.min.messages`, both of which then count for each
//! partition; so whoever does not take makes fetching rest, without a pause that would throw away
//! what is held ready. Rebalances, statistics and errors of the group stay on the common queue,
//! which must be polled as ever.
//!
//! This crate is the one place with `unsafe` code: rdkafka has no safe call for it. It holds
//! pointers of two kinds, a queue's and its messages', and both to the end of [`PartitionQueue`],
//! which holds the consumer for as long.

use std::ffi::CString;
use std::ptr::{self, NonNull, addr_of};
use std::sync::Arc;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Timestamp;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

/// Messages taken at a call: enough that the call does not show.
const AT_ONCE: usize = 1024;

/// The fetched messages of one partition, apart from the consumer's other messages.
pub struct PartitionQueue<C: ConsumerContext + 'static> {
    queue: NonNull<native::rd_kafka_queue_t>,
    partition: i32,
    /// What the last call took. Those before `given` have been handed out, and those before
    /// `returned` given back to librdkafka; the others are ours.
    hand: Vec<*mut native::rd_kafka_message_t>,
    given: usize,
    returned: usize,
    /// Outlives the queue, as librdkafka demands.
    _consumer: Arc<BaseConsumer<C>>,
}

/// What stands next in a partition's queue.
#[derive(Debug)]
pub enum Taken<'a> {
    /// A record.
    Message(Message<'a>),
    /// The partition's end ([`KafkaError::PartitionEOF`]), or what went wrong with it.
    Event(KafkaError),
}

/// A record as the broker gave it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its place in the partition.
    pub offset: i64,
    /// Its own time.
    pub time: Timestamp,
    /// Its value; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
}

// SAFETY: librdkafka's queues and messages may be used from any thread, and this type is their only
// owner; it hands out borrows of itself alone.
unsafe impl<C: ConsumerContext + 'static> Send for PartitionQueue<C> {}

impl<C: ConsumerContext + 'static> PartitionQueue<C> {
    /// Parts a partition's messages from the consumer's queue, now and whenever the partition is
    /// assigned later on. To be done before it is assigned, or what came before is in the common
    /// queue. `None` when the name cannot be a topic's.
    pub fn split(
        consumer: Arc<BaseConsumer<C>>,
        topic: &str,
        partition: i32,
    ) -> Option<PartitionQueue<C>> {
        let topic = CString::new(topic).ok()?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as `consumer`, the name for this call.
        let queue =
            unsafe { native::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition) };
        let queue = NonNull::new(queue)?;
        // SAFETY: the queue was just given to us. Forwarded nowhere, it keeps what it is given.
        unsafe { native::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        let hand = Vec::with_capacity(AT_ONCE);
        Some(PartitionQueue { queue, partition, hand, given: 0, returned: 0, _consumer: consumer })
    }

    /// Forgets what has been taken from librdkafka and not handed out. To be done when the partition
    /// is assigned anew: what was fetched before comes again, and an end that was reached before says
    /// nothing.
    pub fn forget(&mut self) {
        self.given = self.hand.len();
        self.give_back();
    }

    /// How many messages and events wait.
    pub fn waiting(&self) -> usize {
        // SAFETY: the queue is ours until we are dropped.
        let queued = unsafe { native::rd_kafka_queue_length(self.queue.as_ptr()) };
        queued + self.hand.len() - self.given
    }

    /// The next message or event; `None` when none waits. Does not block.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows from the queue")]
    pub fn next(&mut self) -> Option<Taken<'_>> {
        if self.given == self.hand.len() {
            self.take_more();
        }
        self.give_back();
        let message = *self.hand.get(self.given)?;
        self.given += 1;
        // SAFETY: librdkafka gave it to us, and it is given back no sooner than with the next call.
        Some(unsafe { read(message, self.partition) })
    }

    fn take_more(&mut self) {
        self.give_back();
        self.hand.clear();
        (self.given, self.returned) = (0, 0);
        // SAFETY: there is room for `AT_ONCE` pointers, and it says how many it has written, or -1.
        unsafe {
            let count = native::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                0,
                self.hand.as_mut_ptr(),
                AT_ONCE,
            );
            self.hand.set_len(usize::try_from(count).unwrap_or(0));
        }
    }

    /// Gives back the messages that have been handed out.
    fn give_back(&mut self) {
        for message in &self.hand[self.returned..self.given] {
            // SAFETY: it is ours, nobody borrows it any more, and it is not touched again.
            unsafe { native::rd_kafka_message_destroy(*message) };
        }
        self.returned = self.given;
    }
}

impl<C: ConsumerContext + 'static> Drop for PartitionQueue<C> {
    fn drop(&mut self) {
        self.given = self.hand.len();
        self.give_back();
        // SAFETY: the queue is ours and not used again; the consumer is dropped after it.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// Reads what librdkafka says of a message.
///
/// # Safety
/// `message` must be one that librdkafka has given and not had back, for as long as `'a`.
unsafe fn read<'a>(message: *mut native::rd_kafka_message_t, partition: i32) -> Taken<'a> {
    // As a number: a broker may know codes that the bindings do not, and their enum, even behind a
    // reference to the whole message, must hold none of those.
    // SAFETY: see above; an enum of C is as large as an `i32`.
    let code = unsafe { addr_of!((*message).err).cast::<i32>().read() };
    if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR as i32 {
        let known = RDKafkaRespErr::try_from(code).map(RDKafkaErrorCode::from);
        return Taken::Event(match known.unwrap_or(RDKafkaErrorCode::Unknown) {
            RDKafkaErrorCode::PartitionEOF => KafkaError::PartitionEOF(partition),
            code => KafkaError::MessageConsumption(code),
        });
    }
    // SAFETY: see above; its code is one that the bindings know.
    let fields = unsafe { &*message };
    let payload = (!fields.payload.is_null()).then(|| {
        // SAFETY: the payload is `len` bytes, and lives as long as the message.
        unsafe { std::slice::from_raw_parts(fields.payload.cast::<u8>(), fields.len) }
    });
    // SAFETY: see above.
    Taken::Message(Message { offset: fields.offset, time: unsafe { time(message) }, payload })
}

/// # Safety
/// As [`read`].
unsafe fn time(message: *mut native::rd_kafka_message_t) -> Timestamp {
    use native::rd_kafka_timestamp_type_t as Kind;
    // A number for the same reason as a message's code.
    let mut kind = Kind::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE as u32;
    let place = (&raw mut kind).cast::<Kind>();
    // SAFETY: see above; it writes what kind of time it is, an enum of C, which is as large.
    let millis = unsafe { native::rd_kafka_message_timestamp(message, place) };
    stamp(kind, millis)
}

/// A message's time, of the kind that librdkafka has given.
fn stamp(kind: u32, millis: i64) -> Timestamp {
    use native::rd_kafka_timestamp_type_t as Kind;
    const CREATED: u32 = Kind::RD_KAFKA_TIMESTAMP_CREATE_TIME as u32;
    const APPENDED: u32 = Kind::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME as u32;
    match kind {
        _ if millis == -1 => Timestamp::NotAvailable,
        CREATED => Timestamp::CreateTime(millis),
        APPENDED => Timestamp::LogAppendTime(millis),
        _ => Timestamp::NotAvailable,
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use super::*;

    /// What is read of a message that bears a code. It has nothing else, so it must not be NO_ERROR.
    fn event(code: i32) -> KafkaError {
        let mut message = MaybeUninit::<native::rd_kafka_message_t>::zeroed();
        let message = message.as_mut_ptr();
        // SAFETY: the message is ours, and of one with a code nothing but that is looked at.
        let taken = unsafe {
            (&raw mut (*message).err).cast::<i32>().write(code);
            read(message, 7)
        };
        match taken {
            Taken::Event(error) => error,
            Taken::Message(message) => panic!("{message:?} has a code"),
        }
    }

    #[test]
    fn a_code_that_the_bindings_do_not_know_is_an_error_like_any_other() {
        let of = KafkaError::MessageConsumption;
        // librdkafka's rdkafka.h: _PARTITION_EOF -191, OFFSET_OUT_OF_RANGE 1.
        assert_eq!(event(-191), KafkaError::PartitionEOF(7));
        assert_eq!(event(1), of(RDKafkaErrorCode::OffsetOutOfRange));
        for unknown in [9_999, -9_999, i32::MAX, i32::MIN] {
            assert_eq!(event(unknown), of(RDKafkaErrorCode::Unknown));
        }
    }

    #[test]
    fn a_time_of_a_kind_that_is_not_known_is_none() {
        assert_eq!(stamp(0, 5), Timestamp::NotAvailable);
        assert_eq!(stamp(1, 5), Timestamp::CreateTime(5));
        assert_eq!(stamp(1, -1), Timestamp::NotAvailable);
        assert_eq!(stamp(2, 5), Timestamp::LogAppendTime(5));
        assert_eq!(stamp(3, 5), Timestamp::NotAvailable);
    }
}
