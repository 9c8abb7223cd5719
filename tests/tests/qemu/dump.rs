//! QEMU's dump-guest-memory, read by `pagelab inspect`.

use crate::{
    machine::{Qemu, Setup, has_qemu},
    views::on_console,
};
use pagelab_abi::view::ViewKind;
use pagelab_tests::pagelab;
use serde_json::json;

#[test]
fn a_dump_tells_what_the_guest_told() {
    if !has_qemu() {
        return;
    }
    // Without an exit port the guest halts for ever when it is done, and its memory is at rest.
    let setup = Setup {
        memory: "1G",
        exit_port: false,
        ..Setup::new("workload=default pagelab.views")
    };
    let mut qemu = Qemu::start(setup);
    let mut qmp = qemu.qmp();
    qemu.wait_for("halt", |qemu| {
        let command = json!({ "command-line": "info registers" });
        let registers = qmp.execute("human-monitor-command", command);
        let halted = registers.as_str()?.contains("HLT=1");
        (halted && qemu.serial().contains("pagetypeinfo <==")).then_some(())
    });
    qmp.execute("stop", json!({}));
    let path = qemu.path("dump").display().to_string();
    let protocol = format!("file:{path}");
    qmp.execute(
        "dump-guest-memory",
        json!({ "paging": false, "protocol": protocol }),
    );

    let mut wanted = vec!["pagetable"];
    wanted.extend(ViewKind::ALL.map(ViewKind::name));
    let ran = pagelab(&[
        "inspect",
        &path,
        "--inspect",
        &wanted.join(","),
        "--format",
        "json",
    ]);
    assert_eq!(ran.status, Some(0), "{ran:#?}");
    let report = ran.json();
    assert_eq!(report["kind"], "elf core");
    // QEMU counts the memory of its firmware too.
    let memory = report["memory"].as_u64().expect("bytes");
    assert!((1 << 30..1 << 30 | 1 << 20).contains(&memory), "{memory}");
    let audits = report["audits"].as_array().expect("audits");
    assert!(audits.len() > 15, "{audits:#?}");
    assert!(
        audits.iter().all(|audit| audit["outcome"] == "held"),
        "{audits:#?}"
    );

    let seen = |name: &str| -> &str {
        let views = report["views"].as_array().expect("views");
        let view = views.iter().find(|view| view["name"] == name);
        view.and_then(|view| view["text"].as_str())
            .unwrap_or_else(|| panic!("no {name}"))
    };
    let said = on_console(&qemu.serial());
    for kind in ViewKind::ALL {
        assert_eq!(said[kind.name()], seen(kind.name()), "{}", kind.name());
    }
    for part in ["direct map", "kernel text", "stacks"] {
        assert!(
            seen("pagetable").contains(part),
            "no {part}: {}",
            seen("pagetable")
        );
    }
}
