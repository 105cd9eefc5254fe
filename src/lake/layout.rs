//! Marks a lake with its layout when it is first written, and refuses one of another layout.

use futures::TryStreamExt;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::{Lake, LakeError};
use crate::flow::lake_key::{LIVE, Section, TABLES};
use crate::flow::layout::{self, FORMAT, OtherLayout};

impl Lake {
    /// Marks a lake as one of our layout, unless it is marked already. Before any other put.
    pub async fn claim(&self) -> Result<(), LakeError> {
        self.persist(FORMAT, || self.try_claim()).await
    }

    async fn try_claim(&self) -> Result<(), LakeError> {
        if self.layout().await? {
            return Ok(());
        }
        let path = self.path(FORMAT)?;
        let payload = PutPayload::from(layout::text());
        let options = PutOptions::from(PutMode::Create);
        match self.store.objects.put_opts(&path, payload, options).await {
            Ok(_) => Ok(()),
            // Another process was first, maybe one of another version.
            Err(object_store::Error::AlreadyExists { .. }) => self.layout().await.map(|_| ()),
            Err(error) => Err(self.failed(format!("write `{FORMAT}`"), error)),
        }
    }

    /// Whether the lake is marked as one of our layout; not yet, when nothing was put.
    async fn layout(&self) -> Result<bool, LakeError> {
        let path = self.path(FORMAT)?;
        let action = || format!("read `{FORMAT}`");
        match self.store.objects.get(&path).await {
            Ok(found) => {
                let text = found.bytes().await.map_err(|error| self.failed(action(), error))?;
                layout::read(&text).map(|()| true).map_err(|found| self.other_layout(found))
            }
            Err(object_store::Error::NotFound { .. }) => {
                self.refuse_old().await?;
                Ok(false)
            }
            Err(error) => Err(self.failed(action(), error)),
        }
    }

    /// Refuses a lake whose objects bear the names of the layout that had no mark.
    async fn refuse_old(&self) -> Result<(), LakeError> {
        let sections = Section::ALL.iter().map(|section| section.as_str());
        for folder in [TABLES, LIVE].into_iter().chain(sections) {
            let prefix = self.path(folder)?;
            let mut objects = self.store.objects.list(Some(&prefix));
            let listed = |error| self.failed(format!("list `{folder}/`"), error);
            while let Some(meta) = objects.try_next().await.map_err(listed)? {
                if layout::is_old(meta.location.as_ref()) {
                    return Err(self.other_layout(OtherLayout::Old));
                }
            }
        }
        Ok(())
    }

    fn other_layout(&self, found: OtherLayout) -> LakeError {
        LakeError::OtherLayout { store: self.store.name.clone(), found, remedy: layout::REMEDY }
    }
}
