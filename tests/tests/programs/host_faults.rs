//! What the host's own hardware does to a program's memory: it becomes read-only, or slow.

use super::{
    Build,
    memory_failure::{WHOLE, run, stdout, waiting},
    programs,
};

#[test]
fn stores_to_read_only_memory_are_dropped_and_counted() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let event = waiting(folder);
    let page = format!("readonly,pid=1,gva=0x30000000,at={event}");
    let report = run(folder, &["--fault", &page]);
    // A copy for the child is no store; the last store of the program is one.
    assert_eq!(stdout(&report), WHOLE.replace("stored: 8", "stored: 1"));
    let act = &report["faults"]["host_acts"][0];
    assert_eq!(act["outcome"], "1 stores dropped", "{act}");
    // A count of free pages that stays what it is.
    let zone = format!("readonly,struct=zone,zone=Normal,at={event}");
    let runs = [(); 2].map(|()| run(folder, &["--fault", &zone]));
    assert_ne!(runs[0]["verdict"], "held", "{}", runs[0]["faults"]);
    assert_eq!(runs[0]["trace_hash"], runs[1]["trace_hash"]);
}

#[test]
fn slow_memory_changes_nothing_and_lost_memory_ends_the_run() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let golden = run(folder, &[]);
    let slow = run(folder, &["--fault", "host_latency,delay=20,interval=3"]);
    let act = &slow["faults"]["host_acts"][0];
    if act["skipped"] == true {
        println!("SKIPPED: {}", act["reason"]);
        return;
    }
    assert_eq!(act["done"], true, "{act}");
    assert_eq!(slow["verdict"], "held", "{}", slow["reasons"]);
    assert_eq!(stdout(&slow), WHOLE);
    assert_eq!(slow["trace_hash"], golden["trace_hash"]);
    let lost = "host_latency,handler=dies,nth=40";
    let lost = run(folder, &["--fault", lost]);
    assert_eq!(lost["verdict"], "hung", "{}", lost["reasons"]);
    assert!(
        lost["reasons"]
            .to_string()
            .contains("supplies the guest's memory died")
    );
}
