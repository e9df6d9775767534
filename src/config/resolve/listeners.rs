//! `listen` and `[[listener]]`: addresses that don't overlap, certificates that can be read.

use std::net::{Ipv4Addr, SocketAddr};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::config::{
    CertificateFiles, ListenAddress, Listener, ListenerTls, TlsVersion,
    expand::Outside,
    problem::{Place, Problem, Problems},
    raw,
    text::FilePath,
    value::Placed,
};

/// All listeners, those of `listen` first.
pub(super) fn listeners(file: &raw::File, outside: &Outside<'_>, problems: &mut Problems) -> Vec<Listener> {
    let mut found: Vec<(Listener, Option<Place>)> = Vec::new();
    if let Some(listen) = &file.listen {
        for address in &listen.value.0 {
            found.push((plain(address.value.clone()), address.place));
        }
    }
    for listener in &file.listener.value {
        found.push((settled(&listener.value, outside, problems), listener.value.address.place));
    }
    let is_unreadable = file.mark.is_unreadable("listen") || file.mark.is_unreadable("listener");
    if found.is_empty() && !is_unreadable {
        match &file.listen {
            None => found.push((plain(DEFAULT_LISTEN), None)),
            Some(listen) => problems.push(
                Problem::error(listen.place, "there is no address to listen on")
                    .label("expected an address such as `0.0.0.0:8080`"),
            ),
        }
    }
    check_overlaps(&found, file, problems);
    found.into_iter().map(|(listener, _)| listener).collect()
}

/// Whether two sockets can't both be bound.
pub(super) fn overlap(one: &ListenAddress, other: &ListenAddress) -> bool {
    match (one, other) {
        (ListenAddress::Unix(one), ListenAddress::Unix(other)) => one == other,
        (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) => {
            let same_port = one.port() == other.port() && one.port() != 0;
            same_port && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
        }
        _ => false,
    }
}

/// Whether one address stands for all, the other's among them. `[::]` takes IPv4 as well.
fn covers(one: &SocketAddr, other: &SocketAddr) -> bool {
    one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4())
}

fn plain(address: ListenAddress) -> Listener {
    Listener { address, tls: None, h2c: false, http2: true }
}

fn settled(written: &raw::Listener, outside: &Outside<'_>, problems: &mut Problems) -> Listener {
    let mut tls = None;
    let minimum = written.minimum_tls.as_ref().map_or(TlsVersion::Tls12, |version| version.value);
    if let Some(pairs) = &written.tls {
        if pairs.value.is_empty() {
            problems.push(
                Problem::error(pairs.place, "the list of certificates is empty")
                    .label("expected `{ certificate = \"…\", key = \"…\" }`, or no `tls` at all"),
            );
        }
        let pairs = pairs.value.iter().map(|pair| pair_files(&pair.value, outside, problems)).collect();
        tls = Some(ListenerTls { pairs, minimum });
    } else if let Some(version) = &written.minimum_tls
        && !written.mark.is_unreadable("tls")
    {
        problems.push(
            Problem::error(version.place, "`minimum_tls` is set for a listener without TLS")
                .label("expected `tls` beside it"),
        );
    }
    if tls.is_some() && written.h2c.value {
        problems.push(
            Problem::error(written.h2c.place, "`h2c` is set for a listener with TLS")
                .label("HTTP/2 over TLS is `http2`, which is on by default"),
        );
    }
    Listener { address: written.address.value.clone(), tls, h2c: written.h2c.value, http2: written.http2.value }
}

fn pair_files(pair: &raw::Pair, outside: &Outside<'_>, problems: &mut Problems) -> CertificateFiles {
    check_certificates(&pair.certificate, outside, problems);
    if let Some(bytes) = read(&pair.key, outside, problems)
        && let Err(error) = PrivateKeyDer::from_pem_slice(&bytes)
    {
        let path = pair.key.value.0.display();
        problems.push(
            Problem::error(pair.key.place, format!("there is no private key in `{path}`: {error}"))
                .label("expected a PEM file with `BEGIN PRIVATE KEY`"),
        );
    }
    CertificateFiles { certificate: pair.certificate.value.0.clone(), key: pair.key.value.0.clone() }
}

/// Notes a file without at least one certificate in it.
pub(super) fn check_certificates(file: &Placed<FilePath>, outside: &Outside<'_>, problems: &mut Problems) {
    let Some(bytes) = read(file, outside, problems) else { return };
    let path = file.value.0.display();
    let wrong = match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(found) if found.is_empty() => format!("there is no certificate in `{path}`"),
        Ok(_) => return,
        Err(error) => format!("the certificates in `{path}` can't be read: {error}"),
    };
    problems.push(Problem::error(file.place, wrong).label("expected a PEM file with `BEGIN CERTIFICATE`"));
}

fn read(file: &Placed<FilePath>, outside: &Outside<'_>, problems: &mut Problems) -> Option<Vec<u8>> {
    match (outside.file)(&file.value.0) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            problems.push(Problem::error(file.place, format!("could not read `{}`: {error}", file.value.0.display())));
            None
        }
    }
}

fn check_overlaps(found: &[(Listener, Option<Place>)], file: &raw::File, problems: &mut Problems) {
    let admin = &file.admin.value.listen;
    let mut earlier: Vec<(ListenAddress, Option<Place>)> = Vec::new();
    let admin_address = admin.value.0.map(|address| (ListenAddress::Tcp(address.0), admin.place));
    for (address, place) in
        found.iter().map(|(listener, place)| (listener.address.clone(), *place)).chain(admin_address)
    {
        if let Some((other, other_place)) = earlier.iter().find(|(other, _)| overlap(other, &address)) {
            let message = if *other == address {
                format!("`{address}` is listened on twice")
            } else {
                format!("`{address}` and `{other}` overlap")
            };
            // The admin listener's default has no place of its own.
            let (place, related) = if place.is_some() { (place, *other_place) } else { (*other_place, None) };
            let problem =
                Problem::error(place, message).label("expected another address or port").related(related, "taken here");
            let is_default_admin = related.is_none() && admin.place.is_none();
            problems.push(problem.hint(is_default_admin.then(|| ADMIN_HINT.to_owned())));
        }
        earlier.push((address, place));
    }
}

const ADMIN_HINT: &str = "the admin listener is on `127.0.0.1:9090` unless `[admin] listen` says otherwise";

const DEFAULT_LISTEN: ListenAddress =
    ListenAddress::Tcp(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080));
