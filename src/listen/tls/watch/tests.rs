use std::{fs, os::unix::fs::symlink};

use super::*;
use crate::{
    config::CertificateFiles,
    listen::testing::{overwrite, pem_pair, write_key, write_pair},
    metrics::Registry,
};

const EAGER: Rhythm = Rhythm { quiet: Duration::from_millis(20), poll: Duration::from_secs(3600) };

fn watch(files: &CertificateFiles, rhythm: Rhythm) -> (Arc<Certificates>, Watcher) {
    let (certificates, _) = Certificates::load(std::slice::from_ref(files), Now::read()).unwrap();
    let certificates = Arc::new(certificates);
    let watched = vec![Watched { listener: 0, certificates: certificates.clone() }];
    let metrics = Metrics::register(&Registry::new(), vec!["test".to_owned()], vec![vec!["site.pem".to_owned()]]);
    (certificates, Watcher::start(watched, metrics, rhythm).unwrap())
}

/// Repeats `change` until it is noticed: it may come before the directories are watched.
fn until_reloaded(certificates: &Certificates, mut change: impl FnMut()) {
    let before = certificates.in_use();
    let latest = Instant::now() + Duration::from_secs(10);
    while Instant::now() < latest {
        change();
        for _ in 0..20 {
            if certificates.in_use() != before {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    panic!("the change was not noticed");
}

#[test]
fn files_written_in_place_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let files = write_pair(directory.path(), "site", "site", &["site.test"]);
    let (certificates, _watcher) = watch(&files, EAGER);
    until_reloaded(&certificates, || overwrite(&files, "again", &["site.test"]));
}

#[test]
fn files_renamed_into_place_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let files = write_pair(directory.path(), "site", "site", &["site.test"]);
    let (certificates, _watcher) = watch(&files, EAGER);
    until_reloaded(&certificates, || {
        let new = write_pair(directory.path(), "new", "again", &["site.test"]);
        fs::rename(&new.certificate, &files.certificate).unwrap();
        fs::rename(&new.key, &files.key).unwrap();
    });
}

#[test]
fn the_symlink_swap_of_kubernetes_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let mount = directory.path();
    let generation = |number: usize| {
        let own = mount.join(format!("..{number}"));
        fs::create_dir_all(&own).unwrap();
        write_pair(&own, "tls", "site", &["site.test"]);
        let _ = fs::remove_file(mount.join("..data_tmp"));
        symlink(format!("..{number}"), mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    generation(0);
    for name in ["tls.pem", "tls.key"] {
        symlink(format!("..data/{name}"), mount.join(name)).unwrap();
    }
    let files = CertificateFiles { certificate: mount.join("tls.pem"), key: mount.join("tls.key") };
    let (certificates, _watcher) = watch(&files, EAGER);
    let mut number = 0;
    until_reloaded(&certificates, || {
        number += 1;
        generation(number);
    });
}

#[test]
fn polling_notices_what_the_system_does_not_tell() {
    let directory = tempfile::tempdir().unwrap();
    let files = write_pair(directory.path(), "site", "site", &["site.test"]);
    let (certificates, _) = Certificates::load(std::slice::from_ref(&files), Now::read()).unwrap();
    let certificates = Arc::new(certificates);
    let watched = vec![Watched { listener: 0, certificates: certificates.clone() }];
    let metrics = Metrics::register(&Registry::new(), vec!["test".to_owned()], vec![vec!["site.pem".to_owned()]]);
    let (bell, rung) = sync_channel(1);
    let stop = Arc::new(AtomicBool::new(false));
    let rhythm = Rhythm { quiet: Duration::from_millis(1), poll: Duration::from_millis(20) };
    let mut patrol = Patrol { watched, metrics, rhythm, rung, stop: stop.clone(), eyes: None };
    let thread = thread::spawn(move || patrol.run());
    until_reloaded(&certificates, || overwrite(&files, "again", &["site.test"]));
    stop.store(true, Ordering::Release);
    let _ = bell.try_send(());
    thread.join().unwrap();
}

#[test]
fn reading_the_files_does_not_ring_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let files = write_pair(directory.path(), "site", "site", &["site.test"]);
    let (bell, rung) = sync_channel(1);
    let mut eyes = eyes(bell).unwrap();
    eyes.watch(directory.path(), RecursiveMode::NonRecursive).unwrap();
    fs::read(&files.certificate).unwrap();
    assert_eq!(rung.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout));
    overwrite(&files, "again", &["site.test"]);
    assert_eq!(rung.recv_timeout(Duration::from_secs(10)), Ok(()));
}

#[test]
fn dropping_ends_the_thread() {
    let directory = tempfile::tempdir().unwrap();
    let files = write_pair(directory.path(), "site", "site", &["site.test"]);
    let (certificates, watcher) = watch(&files, Rhythm::default());
    let latest = Instant::now() + Duration::from_secs(10);
    drop(watcher);
    while Arc::strong_count(&certificates) > 1 {
        assert!(Instant::now() < latest, "the thread goes on");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_end_of_the_certificate_in_use_and_every_reload_are_shown() {
    let directory = tempfile::tempdir().unwrap();
    let files = write_pair(directory.path(), "site", "site", &["site.test"]);
    let (certificates, _) = Certificates::load(std::slice::from_ref(&files), Now::read()).unwrap();
    let certificates = Arc::new(certificates);
    let registry = Registry::new();
    let metrics = Metrics::register(&registry, vec!["test".to_owned()], vec![vec!["site.pem".to_owned()]]);
    let watched = vec![Watched { listener: 0, certificates: certificates.clone() }];
    let _watcher = Watcher::start(watched, metrics, EAGER).unwrap();
    let shown = |line: String| registry.render().lines().any(|shown| shown == line);
    let end = |seconds: i64| {
        let labels = "listener=\"test\",file=\"site.pem\"";
        format!("tidegate_tls_certificate_expiry_timestamp_seconds{{{labels}}} {seconds}")
    };
    assert!(shown(end(certificates.ends()[0])), "{}", registry.render());
    let (certificate, key) = pem_pair("site", &["site.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2500, 1, 1);
    });
    fs::write(&files.certificate, certificate).unwrap();
    write_key(&files.key, &key);
    let latest = Instant::now() + Duration::from_secs(10);
    while !shown(end(16_725_225_600)) || !shown("tidegate_tls_reloads_total{result=\"ok\"} 1".to_owned()) {
        assert!(Instant::now() < latest, "{}", registry.render());
        thread::sleep(Duration::from_millis(10));
    }
}
