//! QEMU as the referee for the guest: its PVH loader, its 8259s, its virtio-balloon and its dump
//! know nothing of pagelab.

mod balloon;
mod boot;
mod dump;
mod machine;
mod qmp;
mod views;
