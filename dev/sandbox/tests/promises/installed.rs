//! What can be wrong with how the pages are served.

use sandbox::{Fault, Match, Options, Sandbox, Server};

use super::{Outcome, start};
use crate::common::send;

#[tokio::test]
async fn answers_have_the_date_of_the_servers_clock() -> Outcome {
    let sandbox = start().await?;
    let page = format!("{}/o/token/", sandbox.jhe());
    let date = |reply: &crate::common::Reply| {
        let date = reply.header("date").ok_or("no date")?;
        Ok::<_, crate::common::Failure>(httpdate::parse_http_date(date)?)
    };
    let before = date(&send("GET", &page, &[], "").await?)?;
    sandbox.world().advance_clock(600);
    let after = date(&send("GET", &page, &[], "").await?)?;
    let ahead = after.duration_since(before)?.as_secs();
    assert!((600..660).contains(&ahead), "{ahead}");
    Ok(())
}

#[tokio::test]
async fn a_header_of_an_answer_can_be_another_one_or_missing() -> Outcome {
    let sandbox = start().await?;
    let script = format!("{}/static/common/js/common.js", sandbox.jhe());
    let whole = send("GET", &script, &[], "").await?;
    sandbox.world().fail(
        Match::on(Server::Jhe).path("common.js"),
        Fault::header("content-type", "text/plain"),
    );
    sandbox.world().fail(
        Match::on(Server::Jhe).path("common.js"),
        Fault::Header {
            name: "cache-control".to_owned(),
            value: None,
        },
    );
    let changed = send("GET", &script, &[], "").await?;
    assert_eq!(changed.header("content-type"), Some("text/plain"));
    assert_eq!(changed.header("cache-control"), None);
    assert_eq!(changed.text(), whole.text());
    Ok(())
}

#[tokio::test]
async fn a_file_can_come_without_its_compression_and_the_doctors_page_has_a_policy() -> Outcome {
    let bundle = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("served");
    std::fs::create_dir_all(bundle.join("jhe/mychart"))?;
    for (file, content) in [
        ("doctor.html", "<p>plain</p>"),
        ("jhe/mychart/doctor.html", "<p>drop-in</p>"),
        ("a.js", "// a"),
        ("a.js.br", "brotli"),
    ] {
        std::fs::write(bundle.join(file), content)?;
    }
    let sandbox = Sandbox::start(Options {
        bundle: Some(bundle),
        ..Options::default()
    })
    .await?;
    let script = format!("{}/static/jhe-connect/a.js", sandbox.jhe());
    let asks = || async { send("GET", &script, &[("accept-encoding", "gzip, br")], "").await };
    assert_eq!(asks().await?.header("content-encoding"), Some("br"));
    sandbox
        .world()
        .fail(Match::on(Server::Jhe).path("a.js"), Fault::Uncompressed);
    let plain = asks().await?;
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.text(), "// a");
    for path in ["jhe-connect/doctor.html", "clients/mychart/doctor.html"] {
        let page = format!("{}/static/{path}", sandbox.jhe());
        let page = send("GET", &page, &[], "").await?;
        let policy = page.header("content-security-policy").ok_or("no policy")?;
        assert!(
            policy.contains("script-src 'self' 'wasm-unsafe-eval';"),
            "{policy}"
        );
    }
    Ok(())
}
