//! The report in a real browser: plots are drawn, light and dark differ, and nothing is asked of a network.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use image::RgbImage;

mod made_up_report;

/// `$OFFRAMP_CHROMIUM`, or the first of the usual names on `$PATH`.
fn chromium() -> PathBuf {
    if let Some(given) = env::var_os("OFFRAMP_CHROMIUM") {
        return given.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)))
        .find(|file| file.is_file())
        .expect("Chromium is needed: `apt-get install chromium`, or name its binary in $OFFRAMP_CHROMIUM")
}

/// Opens a page with a profile of its own, and returns what the browser printed.
fn open(page: &Path, options: &[String]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let printed = profile.path().join("stdout");
    let browser = chromium();
    let mut child = Command::new(&browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
        // The browser's own errands are none of the page's.
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(options)
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(fs::File::create(&printed).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", browser.display()));
    let deadline = Instant::now() + Duration::from_secs(120);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{} did not end within two minutes", browser.display());
            }
            None => sleep(Duration::from_millis(50)),
        }
    };
    assert!(status.success(), "{}: {status}", browser.display());
    fs::read_to_string(printed).unwrap()
}

fn screenshot(page: &Path, dark: bool, width: u32) -> RgbImage {
    let file = page.with_file_name(format!("{dark}-{width}.png"));
    // Blink's PreferredColorScheme: 0 is dark, 1 is light.
    let scheme = if dark { 0 } else { 1 };
    open(
        page,
        &[
            format!("--blink-settings=preferredColorScheme={scheme}"),
            format!("--window-size={width},4000"),
            format!("--screenshot={}", file.display()),
        ],
    );
    image::open(file).unwrap().into_rgb8()
}

/// Pixels of exactly this colour.
fn count(picture: &RgbImage, colour: u32) -> usize {
    let [_, r, g, b] = colour.to_be_bytes();
    picture.pixels().filter(|p| p.0 == [r, g, b]).count()
}

/// The value of a custom property, as a number, where it is set for the `nth` time.
fn property(html: &str, name: &str, nth: usize) -> u32 {
    let value = html.split(&format!("--{name}: #")).nth(nth + 1).unwrap_or_else(|| panic!("no --{name}"));
    u32::from_str_radix(&value[..6], 16).unwrap()
}

fn written() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    made_up_report::report().write(folder.path()).unwrap();
    let page = folder.path().join("report.html");
    (folder, page)
}

#[test]
#[ignore = "needs Chromium"]
fn plots_are_drawn_in_light_and_in_dark() {
    let (_folder, page) = written();
    let html = fs::read_to_string(&page).unwrap();
    for width in [1180, 500] {
        let [light, dark] = [false, true].map(|dark| screenshot(&page, dark, width));
        for (picture, own, other) in [(&light, 0, 1), (&dark, 1, 0)] {
            let paper = count(picture, property(&html, "paper", own));
            assert!(2 * paper > (picture.width() * picture.height()) as usize, "{paper} pixels of paper");
            assert_eq!(count(picture, property(&html, "paper", other)), 0);
            for family in ["ours", "fewer", "fixed", "schedule", "cache", "peer"] {
                let drawn = count(picture, property(&html, family, own));
                assert!(drawn > 60, "width {width}, scheme {own}: {drawn} pixels of {family}");
                // Where an edge is smoothed, a few pixels may meet the other scheme's colour by chance.
                let strange = count(picture, property(&html, family, other));
                assert!(10 * strange < drawn, "{strange} pixels of the other scheme's {family}");
            }
        }
    }
}

#[test]
#[ignore = "needs Chromium"]
fn the_browser_understands_the_page_as_it_was_written() {
    let (_folder, page) = written();
    let html = fs::read_to_string(&page).unwrap();
    let understood = open(&page, &["--dump-dom".into()]);
    for element in ["<svg", "<path", "<polyline", "<text", "<title", "<td", "</svg>", "</td>"] {
        assert!(html.matches(element).count() > 5, "{element}");
        assert_eq!(understood.matches(element).count(), html.matches(element).count(), "{element}");
    }
}

/// Every URL that the network stack was asked for while a page was open.
fn requested(page: &Path) -> Vec<String> {
    let log = page.with_extension("netlog.json");
    open(
        page,
        &[
            "--dump-dom".into(),
            format!("--log-net-log={}", log.display()),
            "--net-log-capture-mode=Everything".into(),
            // Whatever is asked for fails, here and at once.
            "--host-resolver-rules=MAP * ~NOTFOUND".into(),
        ],
    );
    let log: serde_json::Value = serde_json::from_str(&fs::read_to_string(log).unwrap()).unwrap();
    let events = log["events"].as_array().expect("a net log has events");
    let urls = events.iter().filter_map(|event| event["params"]["url"].as_str());
    urls.filter(|url| !url.starts_with("file:") && !url.starts_with("data:")).map(str::to_owned).collect()
}

#[test]
#[ignore = "needs Chromium"]
fn nothing_is_asked_of_the_network() {
    let (folder, page) = written();
    // What the browser asks for of its own accord, with nothing to show.
    let empty = folder.path().join("empty.html");
    fs::write(&empty, "<!DOCTYPE html><title>empty</title>").unwrap();
    let own = requested(&empty);
    // That a request would be seen.
    let asking = folder.path().join("asking.html");
    fs::write(&asking, "<!DOCTYPE html><title>asks</title><img src='http://offramp.invalid/probe.png'>")
        .unwrap();
    assert!(requested(&asking).iter().any(|url| url.contains("offramp.invalid")), "the log misses requests");

    let host = |url: &str| url.split('/').take(3).collect::<Vec<_>>().join("/");
    let hosts: Vec<String> = own.iter().map(|url| host(url)).collect();
    let asked: Vec<String> = requested(&page).into_iter().filter(|url| !hosts.contains(&host(url))).collect();
    assert_eq!(asked, Vec::<String>::new());
}
