//! A project and its settings → a plan: everything that is decided before the first record. Pure, but for
//! DataFusion's planner.
//!
//! `planned` is the plan, `build` makes it of the YAML and SQL of the project; read them first.
//! `families` divides its windows. `needs` tells which columns of events are read at all, `refusals` what cannot be planned, `faults`
//! says DataFusion's errors as faults of the project's files, `rules` plans the conditions of alerts,
//! `sessions` the keys of session windows, `reference` reads the labs' zones, `fingerprint` names
//! what objects were computed with, `relations` what SQL can read, `follow` which machines follow events. It knows the stages; the stages do not know it.

pub mod build;
pub mod columns;
pub mod families;
pub mod faults;
pub mod fingerprint;
pub mod follow;
pub mod guards;
pub mod needs;
pub mod planned;
pub mod reference;
pub mod refusals;
pub mod relations;
pub mod rules;
pub mod sessions;
