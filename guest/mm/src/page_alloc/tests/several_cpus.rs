//! Several CPUs at once.

use super::MIB;
use crate::{
    Order,
    testing::{boot_with, violations, with_cpu},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::gfp::Gfp;
use std::{thread, vec::Vec};

#[test]
fn another_cpu_drains_when_it_is_asked() {
    let mm = boot_with(64 * MIB, ZoneConfig::CLASSIC, 2, &[]);
    let pages: Vec<_> = (0..4)
        .map(|_| mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap())
        .collect();
    let held = |cpu: usize| mm.percpu[cpu].pcp[1].count.load(Relaxed);
    with_cpu(1, || mm.free_pages_bulk(&pages[..3]));
    assert_eq!(held(1), 3);
    mm.drain_all_pages();
    assert_eq!((held(0), held(1)), (0, 3), "asked, not taken");
    with_cpu(1, || mm.free_pages(pages[3], Order::ZERO));
    assert_eq!(held(1), 0, "it has seen the request");
    let pcp = &mm.percpu[1].pcp[1];
    assert_eq!(pcp.high.load(Relaxed), pcp.high_config.load(Relaxed));
    assert_eq!(violations(&mm), []);
}

#[test]
fn cpus_do_not_disturb_each_other() {
    const CPUS: usize = 4;
    let mm = boot_with(64 * MIB, ZoneConfig::CLASSIC, CPUS as u32, &[]);
    thread::scope(|scope| {
        for cpu in 0..CPUS {
            let mm = &mm;
            scope.spawn(move || {
                with_cpu(cpu, || {
                    let mut held = Vec::new();
                    let mut seed = cpu as u32 + 1;
                    for round in 0..4000 {
                        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let order = Order::new((seed >> 16) % 6).unwrap();
                        if seed >> 31 == 0 || held.len() > 100 {
                            if let Some((pfn, order)) = held.pop() {
                                mm.free_pages(pfn, order);
                            }
                        } else if let Ok(pfn) = mm.alloc_pages(Gfp::KERNEL, order) {
                            held.push((pfn, order));
                        }
                        if round % 97 == 0 {
                            mm.drain_all_pages();
                        }
                    }
                    for (pfn, order) in held {
                        mm.free_pages(pfn, order);
                    }
                });
            });
        }
    });
    assert_eq!(violations(&mm), []);
    for cpu in 0..CPUS {
        with_cpu(cpu, || mm.drain_local_pages());
    }
    let free = mm.free_pages_total();
    let managed: u64 = mm
        .zones()
        .iter()
        .map(|zone| u64::from(zone.managed.load(Relaxed)))
        .sum();
    assert_eq!(free, managed);
    assert_eq!(violations(&mm), []);
}
