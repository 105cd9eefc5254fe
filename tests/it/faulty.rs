//! A store in memory that fails as it is told, until it is told otherwise.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use turnaround::lake::{Lake, Store, StoreKind};

/// How the store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Everything fails, as when the store cannot be reached.
    Away,
    /// Everything fails for want of rights.
    Denied,
    /// Nothing is ever answered.
    Silent,
    /// Objects may not be deleted.
    Locked,
}

/// The store, and the hand on its switch.
#[derive(Clone, Debug)]
pub(crate) struct Faulty {
    objects: Arc<InMemory>,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Faulty {
    pub(crate) fn new() -> Faulty {
        Faulty { objects: Arc::new(InMemory::new()), fault: Arc::default() }
    }

    pub(crate) fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().expect("nobody panicked") = fault;
    }

    /// A lake in the store, as one on S3.
    pub(crate) fn lake(&self) -> Lake {
        Lake::new(Store {
            objects: Arc::new(self.clone()),
            uploads: Arc::new(self.clone()),
            prefix: Path::default(),
            name: "s3://bucket".to_owned(),
            kind: StoreKind::S3,
        })
    }

    /// Every object below a folder, with its bytes, though the store is away.
    pub(crate) async fn contents(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let listed: Vec<_> = self.objects.list(Some(&Path::from(folder))).collect().await;
        let mut contents = Vec::new();
        for meta in listed {
            let path = meta.expect("memory lists").location;
            let got = self.objects.get(&path).await.expect("it is there");
            contents.push((path.to_string(), got.bytes().await.expect("it has bytes").to_vec()));
        }
        contents.sort();
        contents
    }

    /// Removes every object below a folder, as a rule of the bucket would.
    pub(crate) async fn expire(&self, folder: &str) {
        for (name, _) in self.contents(folder).await {
            self.objects.delete(&Path::from(name)).await.expect("memory deletes");
        }
    }

    async fn pass(&self, path: Option<&Path>, deletes: bool) -> Result<()> {
        let path = path.map(ToString::to_string).unwrap_or_default();
        let source = "as the test wants it";
        let fault = *self.fault.lock().expect("nobody panicked");
        match fault {
            None => Ok(()),
            Some(Fault::Locked) if !deletes => Ok(()),
            Some(Fault::Away) => {
                Err(Error::Generic { store: "faulty", source: "connection refused".into() })
            }
            Some(Fault::Denied | Fault::Locked) => {
                Err(Error::PermissionDenied { path, source: source.into() })
            }
            Some(Fault::Silent) => std::future::pending().await,
        }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.pass(Some(path), false).await?;
        self.objects.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.pass(Some(path), false).await?;
        self.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.pass(Some(path), false).await?;
        self.objects.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        paths
            .then(move |path| {
                let store = store.clone();
                async move {
                    let path = path?;
                    store.pass(Some(&path), true).await?;
                    store.objects.delete(&path).await.map(|()| path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned());
        let listing = async move {
            match store.pass(prefix.as_ref(), false).await {
                Ok(()) => store.objects.list(prefix.as_ref()),
                Err(error) => futures::stream::iter([Err(error)]).boxed(),
            }
        };
        futures::stream::once(listing).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.pass(prefix, false).await?;
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.pass(Some(to), false).await?;
        self.objects.copy_opts(from, to, options).await
    }
}
