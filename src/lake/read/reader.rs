//! A lake that is read again and again: each listing becomes a view, and what footers told is kept.
//!
//! Objects never change, so a footer is read once, however many views its object is part of. The memory
//! that queries may take is shared by all views of one reader.

use std::sync::Arc;

use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use object_store::ObjectStore;
use object_store::path::Path;

use super::choose::{choose, list, refuse_other_layout};
use super::error::LakeViewError;
use super::places::KeptPlaces;
use super::view::{Beside, LakeView};

/// How much memory reading may take.
#[derive(Clone, Copy, Debug)]
pub struct ReadBounds {
    /// For sorting and grouping; beyond it they spill to temporary files.
    pub query_bytes: usize,
    /// For footers.
    pub footer_bytes: usize,
    /// For where in objects the rows of each laboratory stand; 0 where so few questions are asked that it
    /// is not worth the reading.
    pub places_bytes: usize,
}

impl Default for ReadBounds {
    fn default() -> ReadBounds {
        ReadBounds { query_bytes: 2 << 30, footer_bytes: 50 << 20, places_bytes: 0 }
    }
}

/// A lake to be read.
pub struct LakeReader {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    beside: Beside,
    runtime: Arc<RuntimeEnv>,
    places: Option<Arc<KeptPlaces>>,
}

impl LakeReader {
    /// A reader of what stands below `prefix`. Makes no request.
    ///
    /// # Errors
    /// Where the query engine cannot be set up.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        prefix: &Path,
        beside: Beside,
        bounds: ReadBounds,
    ) -> Result<LakeReader, LakeViewError> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(bounds.query_bytes, 1.0)
            .with_metadata_cache_limit(bounds.footer_bytes);
        let runtime = runtime.build_arc().map_err(LakeViewError::Setup)?;
        let most = bounds.places_bytes;
        let places = (most > 0).then(|| Arc::new(KeptPlaces::new(most)));
        Ok(LakeReader { objects, prefix: prefix.clone(), beside, runtime, places })
    }

    /// Lists the lake's objects and makes tables of them. Where they are those of an earlier view, that
    /// one is given again.
    ///
    /// # Errors
    /// Where they cannot be listed, or are of another layout.
    pub async fn open(&self, earlier: Option<&LakeView>) -> Result<LakeView, LakeViewError> {
        let marked = refuse_other_layout(&self.objects, &self.prefix).await?;
        let tables = choose(list(&self.objects, &self.prefix).await?);
        // A lake that goes away while it is listed may be marked and empty once: it is another one then.
        let same = |earlier: &&LakeView| earlier.marked == marked && *earlier.listing() == tables;
        if let Some(earlier) = earlier.filter(same) {
            return Ok(earlier.clone());
        }
        let store = (Arc::clone(&self.objects), tables, marked);
        let view = LakeView::over(store, &self.beside, (&self.runtime, &self.places));
        let view = view.map_err(LakeViewError::Setup)?;
        if let Some(earlier) = earlier {
            view.learn(earlier);
        }
        Ok(view)
    }
}

impl LakeView {
    /// Lists the objects below `prefix` and makes tables of them and of what stands beside them.
    ///
    /// # Errors
    /// As [`LakeReader::open`].
    pub async fn open(
        objects: Arc<dyn ObjectStore>,
        prefix: &Path,
        beside: Beside,
    ) -> Result<LakeView, LakeViewError> {
        LakeReader::new(objects, prefix, beside, ReadBounds::default())?.open(None).await
    }
}
