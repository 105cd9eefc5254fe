//! A stream of the binary in the background, with its log and its pages.

use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use crate::binary::{Place, wait_for};
use crate::stop::{get, metric, read_records};

const LONG: Duration = Duration::from_secs(240);

/// A stream of the binary.
pub(crate) struct Stream<'a> {
    place: &'a Place,
    log: String,
    child: Child,
}

impl Stream<'_> {
    /// Starts `run` with these arguments; what it says goes to a file of this name.
    pub(crate) fn start<'a>(place: &'a Place, arguments: &[&str], log: &str) -> Stream<'a> {
        let out = std::fs::File::create(place.path(log)).expect("a file can be made");
        let all = [&["run", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut command = place.turnaround(&all);
        let child = command.stderr(Stdio::from(out)).stdout(Stdio::null()).spawn();
        Stream { place, log: log.to_owned(), child: child.expect("it runs") }
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        self.place.read(&self.log)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// The status and the body of a page.
    pub(crate) fn page(&self, page: &str) -> Option<(u16, String)> {
        let log = self.said();
        let (address, _) = log.split_once("/metrics on http://")?.1.split_once('\n')?;
        get(address.trim(), page)
    }

    /// The sum of a metric over its labels.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        Some(metric(&self.page("/metrics")?.1, name))
    }

    /// Waits until so many records have been taken in.
    pub(crate) fn reads(&self, records: usize) {
        wait_for("records", LONG, || {
            let read = read_records(&self.page("/metrics")?.1);
            (read == records as f64).then_some(())
        });
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        signal(self.place, self.id(), "-TERM");
    }

    /// Waits for its end; gives its exit code.
    pub(crate) fn code(mut self) -> Option<i32> {
        wait_for("end", LONG, || self.child.try_wait().expect("it is our child")).code()
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a stream that ended by itself.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(place: &Place, id: u32, name: &str) {
    let told = place.command("kill").args([name, &id.to_string()]).status();
    assert!(told.expect("kill runs").success());
}
