//! Files of a certificate and its key → what a connection is opened with (rustls).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::TlsAcceptor;

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    #[error("could not read a {what} from `{path}`; name a PEM file")]
    File {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: pem::Error,
    },
    /// No certificate.
    #[error(
        "`{0}` holds no certificate; name a PEM file with the server's first, then those above it"
    )]
    Empty(PathBuf),
    /// They do not fit.
    #[error("the certificate in `{cert}` and the key in `{key}` cannot be used together")]
    Unfit {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's.
        key: PathBuf,
        /// What happened.
        #[source]
        source: rustls::Error,
    },
}

/// Reads a certificate with those above it, and its key.
///
/// # Errors
/// Where a file cannot be read, or they do not fit.
pub fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let unread = |what: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { what, path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(unread("certificate", cert))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(cert.to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(unread("private key", key))?;
    let unfit = |source| TlsError::Unfit { cert: cert.to_owned(), key: key.to_owned(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(unfit)?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, secret).map_err(unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
