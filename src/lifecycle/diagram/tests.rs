//! What the pictures hold, and that they are well formed.

use super::*;
use crate::config::lifecycle_yaml::read_text;

const MACHINE: &str = "
description: A courier's box.
entity: [lab_id, reason]
events:
  center.event: { word: machine_id }
line: { load: LOADED, ship: SHIPPED, deliver: DELIVERED }
begins: [LOADED]
finished: [DELIVERED, LOST]
transitions:
  - { name: return, from: SHIPPED, on: return, to: LOADED, when: \"location = 'lab: north'\" }
timers:
  - { name: give_up, in: [LOADED, SHIPPED], after: 2d, to: LOST }
  - { name: look, in: SHIPPED, at: \"03:00\", to: LOST }
";

#[test]
fn every_transition_and_timer_is_in_the_text() {
    let machine = read_text("box", MACHINE).unwrap();
    assert_eq!(
        mermaid(&machine.spec),
        "stateDiagram-v2
    [*] --> LOADED : load
    LOADED --> SHIPPED : ship
    SHIPPED --> DELIVERED : deliver
    SHIPPED --> LOADED : return [location = 'lab#58; north']
    LOADED --> LOST : give_up (after 2d)
    SHIPPED --> LOST : give_up (after 2d), look (at 03#58;00 lab time)
    DELIVERED --> [*]
    LOST --> [*]
"
    );
}

#[test]
fn the_picture_is_well_formed_and_holds_every_state_and_arrow() {
    let machine = read_text("box", MACHINE).unwrap();
    let picture = svg(&machine.spec);
    for state in machine.states() {
        assert!(picture.contains(&format!(">{state}</text>")), "{state}");
    }
    assert_eq!(picture.matches("marker-end").count(), 6);
    assert_eq!(picture.matches("class=\"timer\" d=").count(), 2);
    // Every element that is opened is closed.
    let (mut open, mut rest) = (Vec::new(), picture.as_str());
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').unwrap() + at;
        let tag = &rest[at + 1..end];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn what_leads_from_many_states_is_told_below_the_one_that_it_leads_to() {
    let path = format!("{}/pipelines/lifecycles/test.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let machine = read_text("test", &text).unwrap();
    let picture = mermaid(&machine.spec);
    assert!(
        picture.contains("note right of LOST\n      lose from ORDERED, COLLECTED"),
        "{picture}"
    );
    assert!(picture.contains("abandon (after 7d) from ORDERED"), "{picture}");
    assert!(svg(&machine.spec).contains("lose from ORDERED"));
}
