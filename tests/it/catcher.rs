//! A webhook that keeps what is posted to it, and answers as it is told to.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::binary::{Place, repository, wait_for};

/// The webhook; ended when dropped.
pub(crate) struct Catcher {
    child: Child,
}

impl Drop for Catcher {
    fn drop(&mut self) {
        // Nothing can be done about a catcher that ended by itself.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

impl Catcher {
    /// Starts a webhook that answers so; what runs in the place posts to this path of it.
    pub(crate) fn start(place: &mut Place, python: &str, answers: &str, path: &str) -> Catcher {
        let script = repository().join("docker/webhook_catcher.py");
        let out = std::fs::File::create(place.path("catcher")).expect("a file can be made");
        let mut command = place.command(python);
        command.arg(script).args(["--answers", answers, "--out", "posts"]);
        let child = command.stdout(Stdio::from(out)).spawn().expect("python runs");
        let catcher = Catcher { child };
        let url = wait_for("catcher", Duration::from_secs(60), || {
            let said = place.read("catcher");
            let rest = said.strip_prefix("LISTENING ")?;
            Some(rest.split_once('\n')?.0.to_owned())
        });
        place.set("TEAMS_WEBHOOK_URL", &format!("{url}{path}"));
        place.set("TURNAROUND_WEBHOOK_ALLOW_PRIVATE", "1");
        catcher
    }
}

/// What has been posted so far.
pub(crate) fn posts(place: &Place) -> Vec<Value> {
    if !place.path("posts").exists() {
        return Vec::new();
    }
    let posts = place.read("posts");
    posts.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The title of a posted card.
pub(crate) fn title(post: &Value) -> &str {
    let text = &post["body"]["attachments"][0]["content"]["body"][0]["text"];
    text.as_str().unwrap_or_else(|| panic!("no card: {post}"))
}
