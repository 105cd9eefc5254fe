//! The families of windows: the registry of where rows can go in time, each kind in a file of its
//! own, and which of them the windows of a pipeline make.

use datafusion::common::Result;

use super::calendar_family::LabCalendars;
use super::fixed_family::FixedFamily;
use super::row_family::RowFamily;
use super::session_family::SessionFamily;
use super::window_family::{FamilyGround, WindowFamily};
use crate::window::WindowKind;

/// Windows that are collected together.
#[derive(Clone, Debug)]
pub enum Family {
    /// Panes that the fixed windows of a pipeline share.
    Fixed(FixedFamily),
    /// Calendar periods, one table.
    Calendar(LabCalendars),
    /// Sessions, one table.
    Session(SessionFamily),
    /// Rows that pass one by one, one table.
    Rows(RowFamily),
}

impl Family {
    /// What others ask of it.
    pub fn kind(&self) -> &dyn WindowFamily {
        match self {
            Family::Fixed(panes) => panes,
            Family::Calendar(zones) => zones,
            Family::Session(sessions) => sessions,
            Family::Rows(rows) => rows,
        }
    }

    /// The families of windows that are given with the names of their tables, each with the places
    /// of its own among them.
    ///
    /// # Errors
    /// Where the query cannot be computed over such windows.
    pub fn of(
        windows: &[(String, WindowKind)],
        ground: FamilyGround<'_>,
    ) -> Result<Vec<(Family, Vec<usize>)>> {
        let mut families = Vec::new();
        let mut fixed = Vec::new();
        for (place, (table, kind)) in windows.iter().enumerate() {
            let family = match kind {
                WindowKind::Tumbling { size } => {
                    fixed.push((place, table.as_str(), (*size, *size)));
                    continue;
                }
                WindowKind::Hopping { size, slide } => {
                    fixed.push((place, table.as_str(), (*size, *slide)));
                    continue;
                }
                WindowKind::Session { gap, by, wait } => {
                    Family::Session(SessionFamily::of((*gap, *wait), by, ground.query)?)
                }
                WindowKind::Calendar { unit, zone } => {
                    Family::Calendar(LabCalendars::of(unit, zone, ground))
                }
                WindowKind::RowLevel => Family::Rows(RowFamily::new(ground.lateness.allowed())),
            };
            families.push((family, vec![place]));
        }
        if !fixed.is_empty() {
            let windows = fixed.iter().map(|(_, table, size)| (*table, *size));
            let family = FixedFamily::of(&windows.collect::<Vec<_>>(), ground)?;
            let places = fixed.iter().map(|(place, ..)| *place).collect();
            families.insert(0, (Family::Fixed(family), places));
        }
        Ok(families)
    }
}
