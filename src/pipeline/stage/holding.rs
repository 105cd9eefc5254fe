//! What the run holds in memory, told in metrics and held against what is allowed.

use super::Stage;
use crate::lake::write::cabinet::Cabinet;
use crate::lake::write::live::WindowHours;
use crate::metrics as names;
use crate::pipeline::memory::Measure;
use crate::pipeline::tables::Tables;

impl Stage {
    /// Looks at what is held: first what can be goes to disk, at last the largest pipeline stops.
    pub(super) fn mind_memory(&mut self) {
        let of = |(tables, hours): (&Option<Tables>, &WindowHours)| {
            tables.as_ref().map_or(0, Tables::size) + hours.size()
        };
        let held: Vec<usize> = self.tables.iter().zip(&self.hours).map(of).collect();
        let filed: usize = self.cabinets.values().map(Cabinet::size).sum();
        let others = filed + self.keeper.in_memory() + self.remembered;
        let used = held.iter().sum::<usize>() + others;
        metrics::gauge!(names::STATE).set(used as f64);
        metrics::gauge!(names::STATE_LIMIT).set(self.memory.limit().map_or(0.0, |it| it as f64));
        match self.memory.judge(&held, others) {
            Measure::None => {}
            Measure::Warn => {
                let limit = self.memory.limit();
                tracing::warn!(
                    used,
                    limit,
                    "memory is nearly full; the largest pipeline will stop"
                );
            }
            Measure::Spill => {
                tracing::info!(used, "memory fills; rows that wait go to disk from now on");
                self.keeper.keep_on_disk();
                for place in 0..self.tables.len() {
                    let spilled = self.tables[place].as_mut().map_or(Ok(()), Tables::spill);
                    if let Err(error) = spilled {
                        self.fail(place, &error);
                    }
                }
            }
            Measure::Cry => {
                let (waiting, ids) = (self.keeper.in_memory(), self.remembered);
                tracing::error!(
                    used,
                    limit = self.memory.limit(),
                    filed,
                    waiting,
                    ids,
                    "memory is full of what no pipeline holds: rows that wait to be filed and ids \
                     that are remembered; nothing is stopped, since that would not help; allow \
                     more in `memory`"
                );
            }
            Measure::Stop(place) => {
                let full = self.memory.full(&held, others, place);
                self.fail(place, &full);
            }
        }
    }
}
