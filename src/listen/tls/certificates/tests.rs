use std::fs;

use super::*;
use crate::listen::testing::{overwrite, write_pair};

#[test]
fn all_bad_pairs_are_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let good = write_pair(directory.path(), "good", "good", &["good.test"]);
    let missing = |name: &str| CertificateFiles { certificate: directory.path().join(name), key: good.key.clone() };
    let problems = Certificates::load(&[missing("one"), good.clone(), missing("two")], Now::read()).unwrap_err();
    let files: Vec<_> = problems.iter().map(|problem| problem.certificate.file_name().unwrap()).collect();
    assert_eq!(files, ["one", "two"]);
}

#[test]
fn unchanged_files_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let files = write_pair(directory.path(), "site", "site", &["site.test"]);
    let (certificates, warnings) = Certificates::load(&[files], Now::read()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(certificates.reload(Now::read()), []);
}

#[test]
fn a_changed_pair_is_taken_up_and_only_that() {
    let directory = tempfile::tempdir().unwrap();
    let pairs = ["one", "two"].map(|name| write_pair(directory.path(), name, name, &[&format!("{name}.test")]));
    let (certificates, _) = Certificates::load(&pairs, Now::read()).unwrap();
    let used = |name: &str| certificates.table.load().find(Some(name))[0].clone();
    let (first, second) = (used("one.test"), used("two.test"));

    overwrite(&pairs[1], "two again", &["two.test", "new.test"]);
    let changes = certificates.reload(Now::read());
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].pair, changes[0].result.as_ref()), (1, Ok(&Vec::new())));
    assert!(Arc::ptr_eq(&used("one.test"), &first));
    assert!(!Arc::ptr_eq(&used("two.test"), &second));
    assert!(Arc::ptr_eq(&used("new.test"), &used("two.test")));
}

#[test]
fn a_bad_new_pair_leaves_the_old_one_in_use_and_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let files = write_pair(directory.path(), "site", "site", &["site.test"]);
    let (certificates, _) = Certificates::load(std::slice::from_ref(&files), Now::read()).unwrap();
    let before = certificates.table.load().find(None)[0].clone();
    let ends = certificates.ends();

    fs::write(&files.certificate, "half a fi").unwrap();
    let changes = certificates.reload(Now::read());
    assert_eq!(changes.len(), 1);
    assert!(changes[0].result.is_err());
    assert_eq!(certificates.reload(Now::read()), []);
    assert!(Arc::ptr_eq(&certificates.table.load().find(None)[0], &before));
    assert_eq!(certificates.ends(), ends);

    overwrite(&files, "site again", &["site.test"]);
    assert!(certificates.reload(Now::read())[0].result.is_ok());
}

#[test]
fn removed_files_are_told_once_and_their_return_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let files = write_pair(directory.path(), "site", "site", &["site.test"]);
    let (certificates, _) = Certificates::load(std::slice::from_ref(&files), Now::read()).unwrap();
    fs::remove_file(&files.key).unwrap();
    assert!(certificates.reload(Now::read())[0].result.is_err());
    assert_eq!(certificates.reload(Now::read()), []);
    overwrite(&files, "site", &["site.test"]);
    assert!(certificates.reload(Now::read())[0].result.is_ok());
}
