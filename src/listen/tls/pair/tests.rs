use std::{fs, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;
use crate::listen::{
    testing::{pem_pair, write_key, write_pair},
    tls::check,
};

fn at(directory: &TempDir) -> CertificateFiles {
    write_pair(directory.path(), "site", "site", &["App.Example.com", "*.example.com"])
}

fn only_problem(files: &CertificateFiles) -> Problem {
    let mut problems = check(std::slice::from_ref(files));
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn a_good_pair_has_no_problems_and_tells_its_names() {
    let directory = tempfile::tempdir().unwrap();
    let files = at(&directory);
    assert_eq!(check(std::slice::from_ref(&files)), []);
    let (pair, warnings) = parse(&files, &read(&files).unwrap(), Now::read()).unwrap();
    assert_eq!(pair.names, ["app.example.com", "*.example.com"]);
    assert_eq!(warnings, []);
    assert!(pair.not_after > Now::read().unix_seconds() as i64);
}

#[test]
fn missing_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let files = at(&directory);
    fs::remove_file(&files.key).unwrap();
    let problem = only_problem(&files);
    assert_eq!(problem.to_string(), format!("key `{}` does not exist", files.key.display()));
    fs::remove_file(&files.certificate).unwrap();
    assert_eq!(only_problem(&files).kind, ProblemKind::CertificateUnreadable(ReadFault::NotFound));
}

#[test]
fn a_directory_or_a_huge_file_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut files = at(&directory);
    fs::write(&files.key, vec![b'x'; FILE_MAX as usize + 1]).unwrap();
    assert_eq!(only_problem(&files).kind, ProblemKind::KeyUnreadable(ReadFault::TooLarge));
    files.certificate = directory.path().to_owned();
    assert!(matches!(only_problem(&files).kind, ProblemKind::CertificateUnreadable(ReadFault::Other(_))));
}

#[test]
fn swapped_files_are_recognised() {
    let directory = tempfile::tempdir().unwrap();
    let files = at(&directory);
    let both_keys = CertificateFiles { certificate: files.key.clone(), key: files.key.clone() };
    assert_eq!(only_problem(&both_keys).kind, ProblemKind::NoCertificate { key: true });
    let both_certificates = CertificateFiles { certificate: files.certificate.clone(), key: files.certificate };
    let problem = only_problem(&both_certificates);
    assert_eq!(problem.kind, ProblemKind::NoKey { certificate: true });
    assert!(problem.hint().unwrap().contains("swapped"));
}

#[test]
fn empty_files_hold_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let files = at(&directory);
    write_key(&files.key, "");
    assert_eq!(only_problem(&files).kind, ProblemKind::NoKey { certificate: false });
    fs::write(&files.certificate, "").unwrap();
    assert_eq!(only_problem(&files).kind, ProblemKind::NoCertificate { key: false });
}

#[test]
fn a_key_of_another_certificate_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let files = at(&directory);
    write_key(&files.key, &pem_pair("other", &["other.test"], |_| {}).1);
    let problem = only_problem(&files);
    assert_eq!(problem.kind, ProblemKind::Mismatch { position: None });
    assert!(problem.to_string().contains("does not belong to certificate"));
}

#[test]
fn a_chain_in_the_wrong_order_is_recognised() {
    let directory = tempfile::tempdir().unwrap();
    let files = at(&directory);
    let own = fs::read_to_string(&files.certificate).unwrap();
    let (issuer, _) = pem_pair("issuer", &[], |_| {});
    fs::write(&files.certificate, format!("{issuer}{own}")).unwrap();
    assert_eq!(only_problem(&files).kind, ProblemKind::Mismatch { position: Some(2) });
    fs::write(&files.certificate, format!("{own}{issuer}")).unwrap();
    assert_eq!(check(&[files]), []);
}

#[test]
fn encrypted_keys_of_both_forms_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let files = at(&directory);
    for key in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ] {
        write_key(&files.key, key);
        let problem = only_problem(&files);
        assert_eq!(problem.kind, ProblemKind::KeyEncrypted);
        assert!(problem.hint().unwrap().contains("openssl pkey"));
    }
}

#[test]
fn broken_pem_and_broken_contents_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let files = at(&directory);
    write_key(&files.key, "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n");
    assert!(matches!(only_problem(&files).kind, ProblemKind::KeyNotPem(_)));
    write_key(&files.key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert!(matches!(only_problem(&files).kind, ProblemKind::KeyUnsupported(_)));
    fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    let problem = only_problem(&files);
    assert!(problem.to_string().contains("`-----END CERTIFICATE-----` is missing"), "{problem}");
}

#[test]
fn a_certificate_that_is_none_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let files = at(&directory);
    let own = fs::read_to_string(&files.certificate).unwrap();
    fs::write(&files.certificate, format!("{own}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
        .unwrap();
    assert!(matches!(only_problem(&files).kind, ProblemKind::CertificateMalformed { position: 2, .. }));
}

#[test]
fn a_certificate_out_of_its_time_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let files = at(&directory);
    for (from, to, expired) in [(2001, 2002, true), (3000, 3001, false)] {
        let (certificate, key) = pem_pair("site", &["site.test"], |params| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        });
        fs::write(&files.certificate, certificate).unwrap();
        write_key(&files.key, &key);
        let problem = only_problem(&files);
        assert!(problem.is_warning());
        assert_eq!(matches!(problem.kind, ProblemKind::Expired { .. }), expired, "{problem}");
    }
}

#[test]
fn a_key_that_everybody_may_read_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let files = at(&directory);
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    let problem = only_problem(&files);
    assert!(problem.is_warning());
    assert_eq!(problem.kind, ProblemKind::KeyExposed);
}
