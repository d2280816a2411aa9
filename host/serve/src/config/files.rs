//! The files that a configuration names: read once each, bounded, and remembered, so that it is known which they are and
//! whether they have changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use innkeeper_proxy::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

/// The digest of a file's bytes.
pub(crate) type Digest = [u8; 32];

/// The bytes of a file, and their digest.
#[derive(Clone)]
pub(crate) struct Bytes {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) digest: Digest,
}

/// PEM files are shorter.
const PEM_BYTES_MAX: usize = 4 << 20;

/// Reads the files that a configuration names.
#[derive(Default)]
pub(crate) struct Files {
    folder: PathBuf,
    named: BTreeSet<PathBuf>,
    /// Components. Of certificates and keys nothing is remembered.
    components: BTreeMap<PathBuf, Bytes>,
    system_roots: Option<Arc<[CertificateDer<'static>]>>,
}

impl Files {
    /// Files in a folder, unless a path is absolute.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, ..Self::default() }
    }

    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Every file that has been read, or tried.
    pub(crate) fn named(self) -> BTreeSet<PathBuf> {
        self.named
    }

    /// A component's bytes, which tenants with the same file share.
    pub(crate) fn component(&mut self, path: &Path, bytes_max: usize) -> Result<Bytes, String> {
        let path = self.path(path);
        self.named.insert(path.clone());
        match self.components.get(&path) {
            Some(bytes) => Ok(bytes.clone()),
            None => {
                let bytes = Bytes::new(read(&path, bytes_max)?);
                self.components.insert(path, bytes.clone());
                Ok(bytes)
            }
        }
    }

    /// The certificates in a PEM file, at least one. The file may have a key too: its bytes are wiped.
    pub(crate) fn certificates(&mut self, path: &Path) -> Result<(Vec<CertificateDer<'static>>, Digest), String> {
        let bytes = self.read_secret(path)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => Err("the file has no certificate in PEM".into()),
            Ok(certificates) => Ok((certificates, digest_of(&bytes))),
            Err(error) => Err(format!("the file is no PEM: {error}")),
        }
    }

    /// The first private key in a PEM file. Its bytes are wiped.
    pub(crate) fn key(&mut self, path: &Path) -> Result<(PrivateKeyDer<'static>, Digest), String> {
        let bytes = self.read_secret(path)?;
        match PrivateKeyDer::from_pem_slice(&bytes) {
            Ok(key) => Ok((key, digest_of(&bytes))),
            Err(_) => Err("the file has no private key in PEM".into()),
        }
    }

    fn read_secret(&mut self, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        let path = self.path(path);
        let bytes = read(&path, PEM_BYTES_MAX).map(Zeroizing::new);
        self.named.insert(path);
        bytes
    }

    /// The system's roots, read once; those that TLS takes.
    pub(crate) fn system_roots(&mut self) -> Arc<[CertificateDer<'static>]> {
        let load = || {
            let mut store = RootCertStore::empty();
            // A system may have roots that no library takes.
            let found = rustls_native_certs::load_native_certs().certs.into_iter();
            found.filter(|root| store.add(root.clone()).is_ok()).collect()
        };
        Arc::clone(self.system_roots.get_or_insert_with(load))
    }
}

impl Bytes {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { digest: digest_of(&bytes), bytes: bytes.into() }
    }
}

pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Reads a file to its end, if that comes within `bytes_max`.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    let said = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    // A pipe or a device might never end, or never begin.
    let metadata = std::fs::metadata(path).map_err(said)?;
    if !metadata.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    // At once, so that no part of a secret is left where it was read to first.
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX).min(bytes_max);
    let mut bytes = Vec::with_capacity(length.saturating_add(1));
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(said)?;
    match bytes.len() > bytes_max {
        true => Err(format!("{} has more than {bytes_max} bytes", path.display())),
        false => Ok(bytes),
    }
}
