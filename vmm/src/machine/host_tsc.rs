//! RDTSC of a guest's ring 3 where KVM interprets ring 0.
//!
//! The guest sets CR4.TSD, so that its kernel answers RDTSC. Where KVM runs ring 3 natively on the host's
//! own CR4 that has no effect; but there the host's CR4.TSD counts, which Linux sets for a thread that
//! asks for it (prctl(2), `PR_SET_TSC`), and KVM hands the exception to the guest. The thread itself must
//! not read the counter meanwhile, which the C library's clock does: so it asks for one entry only.

/// While it lives, RDTSC raises an exception on this thread.
pub(super) struct DeniedTsc(());

impl DeniedTsc {
    pub(super) fn new() -> Self {
        set(libc::PR_TSC_SIGSEGV);
        Self(())
    }
}

impl Drop for DeniedTsc {
    fn drop(&mut self) {
        set(libc::PR_TSC_ENABLE);
    }
}

/// It cannot fail: x86-64 Linux has the call since 2.6.26.
fn set(mode: libc::c_int) {
    // SAFETY: changes what RDTSC does on this thread, which runs nothing but KVM_RUN until it is
    // changed back.
    unsafe { libc::prctl(libc::PR_SET_TSC, mode) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode() -> libc::c_int {
        let mut mode = 0;
        // SAFETY: the call writes one integer.
        unsafe { libc::prctl(libc::PR_GET_TSC, &raw mut mode) };
        mode
    }

    #[test]
    fn the_thread_has_its_counter_back() {
        assert_eq!(mode(), libc::PR_TSC_ENABLE);
        let denied = DeniedTsc::new();
        let during = mode();
        drop(denied);
        assert_eq!(during, libc::PR_TSC_SIGSEGV);
        assert_eq!(mode(), libc::PR_TSC_ENABLE);
    }
}
