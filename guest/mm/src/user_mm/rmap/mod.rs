//! From a page to the page-table entries that map it (Linux mm/rmap.c).
//!
//! * `group`: families of address spaces. `count`: pages get mapped and unmapped. `other`: another
//!   address space, looked into. `walk`: all entries of a page. `unmap`: they are asked how the page
//!   was used, or let go of it.
//!
//! An anonymous page can be mapped by the address space in which it was made, and by those that descend
//! from it by fork: the [`AnonGroup`](pagelab_abi::mm_struct::AnonGroup) that all of them are in, and to
//! which the page's `mapping` leads. `private` is the page's place as
//! [`Vma::pgoff`](pagelab_abi::vma::Vma::pgoff) counts it, which neither fork nor mremap changes. So each
//! member is asked for the areas that have this place, and these for their entry.
//!
//! Linux has an `anon_vma` for each area with anonymous pages, and at each fork links all of the
//! parent's areas' to the child's: one allocation and more for each area. Here a fork costs one link,
//! and no allocation that could fail. What that gives up: a page that only one member has is looked
//! for in all of them, until it is found. Families are small, and only reclaim walks.

mod count;
mod group;
mod other;
mod unmap;
mod walk;
