//! Decoding alone, as a whole process: a file of NDJSON read as `run` reads it and decoded on every
//! core, and what was decoded thrown away. Prints rows per second.
//!
//!     cargo bench --bench alone -- FILE [all]
//!
//! The columns are those that tests are followed by, with `all` all of them.
//! `make bench` holds the rates of whole pipelines against this one.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use turnaround::config::Project;
use turnaround::decode::{DecodeOptions, decode};
use turnaround::flow::event::EVENT_FIELDS;
use turnaround::flow::{Span, Timestamp};
use turnaround::lifecycle;
use turnaround::source::file::{CHUNK_BYTES, FileSource};
use turnaround::source::{Source, SourceEvent};

// As in the binary.
#[global_allocator]
static ALLOCATOR: turnaround_allocator::MiMalloc = turnaround_allocator::MiMalloc;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let Some(file) = arguments.first() else {
        // `cargo bench` without a file runs every bench; this one has nothing to measure then.
        println!("name a file of NDJSON: cargo bench --bench alone -- FILE [all]");
        return Ok(());
    };
    let all = arguments.get(1).is_some_and(|what| what == "all");
    let project = Project::load(None);
    let project = project.map_err(|faults| anyhow::anyhow!("the project: {faults:?}"))?;
    let machine = project.machines.iter().find(|machine| machine.spec.name == "test");
    let followed = machine.map(lifecycle::columns).unwrap_or_default();
    let fields = EVENT_FIELDS.iter().enumerate();
    let followed = fields.filter(|(_, (name, _))| followed.contains(*name));
    let options = Arc::new(DecodeOptions {
        default_lab: None,
        max_future: Span(5 * Span::MINUTE.0),
        columns: (!all).then(|| followed.map(|(place, _)| place).collect()),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let began = Instant::now();
    let rows = runtime.block_on(decoded(file, options))?;
    let seconds = began.elapsed().as_secs_f64();
    println!("{{\"rows\":{rows},\"seconds\":{seconds:.3},\"rate\":{:.0}}}", rows as f64 / seconds);
    Ok(())
}

/// Decodes a file; how many rows it has.
async fn decoded(file: &str, options: Arc<DecodeOptions>) -> anyhow::Result<usize> {
    let mut source = FileSource::open(file, Timestamp(i64::MAX / 2), CHUNK_BYTES)?;
    // As in `run`.
    let at_once = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    let mut running = FuturesOrdered::new();
    let mut rows = 0;
    let mut ended = false;
    while !ended || !running.is_empty() {
        while !ended && running.len() < at_once {
            match source.next().await? {
                SourceEvent::Batch(raw) => {
                    let options = Arc::clone(&options);
                    running.push_back(tokio::task::spawn_blocking(move || decode(&raw, &options)));
                }
                SourceEvent::CaughtUp(..) | SourceEvent::Ended(_) | SourceEvent::Quiet => {}
                SourceEvent::End => ended = true,
            }
        }
        if let Some(decoded) = running.next().await {
            rows += decoded?.events.rows.num_rows();
        }
    }
    Ok(rows)
}
