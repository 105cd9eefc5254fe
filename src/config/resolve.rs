//! `turnaround.yaml`, the environment and the flags as one value.
//!
//! Precedence: flag, then environment, then YAML, then default. Every fault of all three is
//! reported at once.

use super::env::Env;
use super::fault::{Fault, Faults};
use super::settings::{Flags, Settings, SourceSpec, address, lab_id, location};
use super::settings_yaml;
use super::yaml::Document;

impl Settings {
    /// The settings that YAML, environment and flags give together; every fault of the three at
    /// once when there is one.
    pub fn resolve(
        yaml: Option<&Document>,
        env: &Env,
        flags: &Flags,
    ) -> Result<Settings, Vec<Fault>> {
        let mut settings = Settings::default();
        let mut all = Vec::new();
        if let Some(document) = yaml {
            let mut faults = Faults::of(&document.file);
            settings_yaml::read(document, env, &mut settings, &mut faults);
            all.extend(faults.into_vec());
        }
        all.extend_from_slice(env.faults());
        settings.apply_env(env, &mut all);
        settings.apply_flags(flags, &mut all);
        if all.is_empty() {
            return Ok(settings);
        }
        all.sort();
        all.dedup();
        Err(all)
    }

    fn apply_env(&mut self, env: &Env, faults: &mut Vec<Fault>) {
        if let Some(brokers) = &env.kafka_brokers {
            self.kafka.brokers = Some(brokers.clone());
        }
        if let Some(lake) = &env.lake_url {
            match location(lake) {
                Ok(()) => self.lake.clone_from(lake),
                Err((what, remedy)) => {
                    faults.push(Fault::of("environment variable LAKE_URL", what, remedy));
                }
            }
        }
        if let Some(hours) = env.sla_hours {
            self.sla_hours = hours;
        }
    }

    fn apply_flags(&mut self, flags: &Flags, faults: &mut Vec<Fault>) {
        if let Some(text) = &flags.source {
            match SourceSpec::parse(text) {
                Ok(source) => self.source = Some(source),
                Err((what, remedy)) => faults.push(Fault::of("flag --source", what, remedy)),
            }
        }
        if let Some(lake) = &flags.lake {
            match location(lake) {
                Ok(()) => self.lake.clone_from(lake),
                Err((what, remedy)) => faults.push(Fault::of("flag --lake", what, remedy)),
            }
        }
        if let Some(lab) = &flags.default_lab {
            match lab_id(lab) {
                Ok(()) => self.default_lab = Some(lab.clone()),
                Err((what, remedy)) => faults.push(Fault::of("flag --lab", what, remedy)),
            }
        }
        if let Some(text) = &flags.listen {
            match address(text) {
                Ok(address) => self.listen = Some(address),
                Err((what, remedy)) => faults.push(Fault::of("flag --listen", what, remedy)),
            }
        }
    }
}
