//! The certificates and keys of one control plane: an authority, the API server's certificate, the administrator's, and the key that
//! signs service account tokens. It writes files into one folder and nothing else.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};

/// The paths of the files.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority that all others are signed by.
    pub authority: PathBuf,
    /// The API server's certificate and key.
    pub server: Pair,
    /// The administrator's certificate and key: group `system:masters`.
    pub admin: Pair,
    /// The certificate and key of user `system:kube-proxy`, whose role every API server has built in.
    pub kube_proxy: Pair,
    /// The key that signs service account tokens.
    pub token_key: PathBuf,
    /// Its public half, which checks them.
    pub token_public_key: PathBuf,
    folder: PathBuf,
    issuer: Arc<CertifiedIssuer<'static, KeyPair>>,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate's path.
    pub certificate: PathBuf,
    /// The key's path.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes them all. The server's certificate is good for `addresses`, the first service address and the usual names.
    pub fn create(folder: &Path, addresses: &[IpAddr]) -> Result<Self> {
        let authority = authority()?;
        let path = folder.join("ca.crt");
        write(&path, &authority.pem())?;
        let mut names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        names.extend(
            ["10.96.0.1", "fd00:96::1", "localhost", "kubernetes", "kubernetes.default.svc"]
                .map(String::from),
        );
        let server = params(names, "kube-apiserver", None, ExtendedKeyUsagePurpose::ServerAuth)?;
        let admin = params(vec![], "admin", Some("system:masters"), ExtendedKeyUsagePurpose::ClientAuth)?;
        let kube_proxy = params(vec![], "system:kube-proxy", None, ExtendedKeyUsagePurpose::ClientAuth)?;
        let (token_key, token_public_key) = (folder.join("tokens.key"), folder.join("tokens.pub"));
        let tokens = KeyPair::generate()?;
        write(&token_key, &tokens.serialize_pem())?;
        write(&token_public_key, &tokens.public_key_pem())?;
        Ok(Self {
            authority: path,
            server: sign(folder, "server", &server, &authority)?,
            admin: sign(folder, "admin", &admin, &authority)?,
            kube_proxy: sign(folder, "kube-proxy", &kube_proxy, &authority)?,
            token_key,
            token_public_key,
            folder: folder.to_path_buf(),
            issuer: Arc::new(authority),
        })
    }

    /// Makes one more client certificate, of a user in a group: for what joins the control plane later.
    pub fn client(&self, file_name: &str, user: &str, group: Option<&str>) -> Result<Pair> {
        let params = params(vec![], user, group, ExtendedKeyUsagePurpose::ClientAuth)?;
        sign(&self.folder, file_name, &params, &self.issuer)
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = params(vec![], "pointsman test authority", None, ExtendedKeyUsagePurpose::Any)?;
    params.extended_key_usages.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?).context("make the authority's certificate")
}

fn params(
    names: Vec<String>,
    common_name: &str,
    organization: Option<&str>,
    usage: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names).context("name the certificate's subjects")?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.extended_key_usages = vec![usage];
    Ok(params)
}

fn sign(
    folder: &Path,
    name: &str,
    params: &CertificateParams,
    authority: &CertifiedIssuer<'_, KeyPair>,
) -> Result<Pair> {
    let key = KeyPair::generate()?;
    let certificate =
        params.signed_by(&key, authority).with_context(|| format!("sign the certificate of {name}"))?;
    let pair =
        Pair { certificate: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) };
    write(&pair.certificate, &certificate.pem())?;
    write(&pair.key, &key.serialize_pem())?;
    Ok(pair)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
