//! The text whose hash names a pipeline's objects: as long as it stays as it is, a lake's objects keep
//! their names.

use turnaround::cli::launch::{self, Request};
use turnaround::flow::Timestamp;
use turnaround::plan::fingerprint::{fingerprint_of, text_of};

use crate::binary::repository;

#[tokio::test]
async fn of_each_shipped_pipeline() {
    let as_of = Timestamp::parse_rfc3339("2026-03-02T00:00:00Z");
    let request = Request { once: true, as_of, dry_run: true, ..Request::default() };
    let loaded = launch::load(Some(repository()), None, &request.flags).expect("it loads");
    let plan = launch::plan(&loaded, &request).await.expect("it is planned");
    assert!(plan.pipelines.len() > 5);
    for pipeline in &plan.pipelines {
        let (project, name) = (&loaded.project, &pipeline.spec.name);
        let text = text_of(project, &pipeline.spec, &pipeline.query);
        let fingerprint = fingerprint_of(project, &pipeline.spec, &pipeline.query);
        assert_eq!(pipeline.fingerprint, fingerprint);
        let told = format!("{text}\n\n{fingerprint}");
        insta::assert_snapshot!(format!("fingerprint_{name}"), told);
    }
}
