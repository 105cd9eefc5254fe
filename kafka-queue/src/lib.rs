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
use std::ptr::{self, NonNull};
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
    // SAFETY: see above.
    let fields = unsafe { &*message };
    if fields.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Taken::Event(match RDKafkaErrorCode::from(fields.err) {
            RDKafkaErrorCode::PartitionEOF => KafkaError::PartitionEOF(partition),
            code => KafkaError::MessageConsumption(code),
        });
    }
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
    let mut kind = Kind::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: see above; it writes what kind of time it is.
    let millis = unsafe { native::rd_kafka_message_timestamp(message, &mut kind) };
    match kind {
        _ if millis == -1 => Timestamp::NotAvailable,
        Kind::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => Timestamp::NotAvailable,
        Kind::RD_KAFKA_TIMESTAMP_CREATE_TIME => Timestamp::CreateTime(millis),
        Kind::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => Timestamp::LogAppendTime(millis),
    }
}
