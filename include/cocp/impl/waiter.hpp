// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/error.hpp>
#include <cocp/export.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/version.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#if BOOST_ASIO_VERSION >= 102700
#include <boost/asio/associated_immediate_executor.hpp>
#endif

#include <cstddef>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

namespace cocp::detail {

namespace asio = boost::asio;

/// Somebody who waits: for a lease, for a stream, for the end. It is in the queue of one `wait_owner`; whoever takes it
/// out, under the owner's mutex, ends its wait, and nobody else can: so a wait ends exactly once.
class COCP_API waiter : public boost::intrusive::list_base_hook<> {
 public:
  waiter() = default;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// True while in a queue and nobody has decided how the wait ends. Guarded by the owner's mutex.
  bool waiting = false;
  /// The result, set by whoever took this out of its queue.
  error_code error;
  /// Set when cancellation came after the wait had ended and before its handler was called. Touched only on the
  /// handler's executor.
  bool cancelled_late = false;

  /// Schedules the handler. If scheduling throws, this is as before and may be completed again.
  virtual void complete() = 0;
  /// Of a wait that has ended before it began, in the initiating function: runs the handler on its immediate executor,
  /// where Asio knows of such (1.27), which is to schedule it unless the user says otherwise. If that throws this is
  /// gone, and nothing was started.
  virtual void complete_at_once() = 0;
  /// Ends the wait without calling the handler, which is destroyed: the execution context is going away.
  virtual void destroy() noexcept = 0;
  /// True if the handler runs on that context. False if that cannot be known.
  virtual bool belongs_to(const asio::execution_context& context) const noexcept = 0;
  /// The same as `complete`, when the context of the operation is going away: not by way of that.
  virtual void complete_elsewhere() { complete(); }

 protected:
  ~waiter() = default;
};

/// Waiters in order of arrival. Unlinking one needs no search.
using wait_list = boost::intrusive::list<waiter, boost::intrusive::constant_time_size<false>>;

/// Ends a wait whose owner's context is going away. A handler that runs on another one learns of it; one of the same
/// goes with it. If nothing is known of its executor it is scheduled, and goes with the context if it was of it.
inline void end_with_context(waiter& w, const asio::execution_context& context) noexcept {
  if (!w.belongs_to(context)) {
    try {
      w.complete_elsewhere();
      return;
    } catch (...) {
      // Refused, and there will be nobody to try again.
    }
  }
  w.destroy();
}

/// Has a queue of waiters.
class COCP_API wait_owner {
 public:
  /// Ends the wait with `operation_aborted`, unless it has ended. Called on the handler's executor, before the handler.
  virtual void cancel(waiter& w) noexcept = 0;

 protected:
  ~wait_owner() = default;
};

/// Where a wait and the cancellation slot that it was given meet. A slot is its user's: its signal may die before the
/// wait has ended or live on, and what stands in it may be replaced by another operation's. So the wait never touches
/// the slot again; the two share this, and the end of the wait empties it.
///
/// Emptied and used on the handler's executor; let go of anywhere.
class wait_link : public boost::intrusive_ref_counter<wait_link> {
 public:
  wait_link(std::shared_ptr<wait_owner> owner, waiter& target) noexcept : owner_(std::move(owner)), target_(&target) {}

  static void* operator new(std::size_t) { return asio::recycling_allocator<wait_link>().allocate(1); }
  static void operator delete(void* p) noexcept {
    asio::recycling_allocator<wait_link>().deallocate(static_cast<wait_link*>(p), 1);
  }

  /// Ends the wait, unless it has ended.
  void cancel() const noexcept {
    // Its own: what it completes may empty this.
    if (const auto owner = owner_) owner->cancel(*target_);
  }
  /// The wait has ended. What this returns may be the last to keep the owner.
  std::shared_ptr<wait_owner> cut() noexcept { return std::move(owner_); }

 private:
  /// Kept while the wait lasts: it may outlive the pool or connection. Null when it has ended.
  std::shared_ptr<wait_owner> owner_;
  waiter* const target_;
};

/// What stands in a cancellation slot.
struct cancel_wait {
  boost::intrusive_ptr<wait_link> link;

  void operator()(asio::cancellation_type type) const noexcept {
    if (type != asio::cancellation_type::none) link->cancel();
  }
};

/// This thread hands the completion of a waiter to an executor just now. A completion that is destroyed meanwhile
/// leaves its waiter to who hands it over.
class handing_over {
 public:
  enum class outcome : unsigned char { taken, dropped, begun };

  explicit handing_over(const waiter& w) noexcept : waiter_(&w), outer_(std::exchange(innermost_, this)) {}
  handing_over(const handing_over&) = delete;
  handing_over& operator=(const handing_over&) = delete;
  ~handing_over() { innermost_ = outer_; }

  /// What has come of it so far.
  outcome result() const noexcept { return result_; }
  /// True if this thread hands over the completion of `w`, of whose address another may be by then: it is told once.
  static bool ends(const waiter& w, outcome o) noexcept {
    if (!innermost_ || innermost_->waiter_ != &w) return false;
    innermost_->waiter_ = nullptr;
    innermost_->result_ = o;
    return true;
  }

 private:
  inline static thread_local handing_over* innermost_ = nullptr;

  const waiter* waiter_;
  handing_over* const outer_;
  outcome result_ = outcome::taken;
};

/// Holds up this thread for a moment, where there is no memory and nobody else could try again later.
COCP_API void wait_for_memory() noexcept;

/// A handler's executor, which knows that work for it is coming. `asio::executor_work_guard` keeps a second copy of it.
/// The second executor is the one that the operation itself has.
template <class Executor, bool HasProperties = asio::execution::is_executor<Executor>::value>
class expecting_executor {
 public:
  /// What is posted to it is not run in there.
  static constexpr bool can_post = true;

  expecting_executor(const Executor& ex, const asio::any_io_executor&) : tracked_(asio::prefer(ex, work)) {}

  const auto& get_executor() const noexcept { return tracked_; }
  /// Where its completions are handed in.
  const auto& entry() const noexcept { return tracked_; }

 private:
  static constexpr auto work = asio::execution::outstanding_work.tracked;
  std::decay_t<decltype(asio::prefer(std::declval<const Executor&>(), work))> tracked_;
};

/// For executors of the Networking TS, which have no properties.
template <class Executor>
class expecting_executor<Executor, false> : public asio::executor_work_guard<Executor> {
 public:
  static constexpr bool can_post = true;

  expecting_executor(const Executor& ex, const asio::any_io_executor&) : asio::executor_work_guard<Executor>(ex) {}

  Executor entry() const noexcept { return this->get_executor(); }
};

/// For `any_completion_handler`'s. It cannot be told not to run things in `execute`; so they come by way of the
/// operation's own executor, as `asio::post` has it.
template <>
class expecting_executor<asio::any_completion_executor, true> {
 public:
  static constexpr bool can_post = false;

  expecting_executor(const asio::any_completion_executor& ex, const asio::any_io_executor& entry)
      : entry_(asio::prefer(entry, asio::execution::outstanding_work.tracked)) {
    // That is what it is where there was no memory to make it, and nothing may be asked of it.
    if (!ex) throw std::bad_alloc();
    tracked_ = asio::prefer(ex, asio::execution::outstanding_work.tracked);
  }

  const auto& get_executor() const noexcept { return tracked_; }
  const auto& entry() const noexcept { return entry_; }
  /// It goes on from there, and may outlive its context.
  void leave_entry() noexcept { entry_ = asio::any_io_executor(); }

 private:
  asio::any_io_executor entry_;
  asio::any_completion_executor tracked_;
};

/// The context of an executor of any kind; null if it does not say.
template <class Executor>
const asio::execution_context* context_of(const Executor& ex) noexcept {
  if constexpr (asio::can_query_v<const Executor&, asio::execution::context_t>) {
    return &static_cast<const asio::execution_context&>(asio::query(ex, asio::execution::context));
  } else if constexpr (requires { static_cast<const asio::execution_context&>(ex.context()); }) {
    return &static_cast<const asio::execution_context&>(ex.context());
  } else {
    return nullptr;
  }
}

/// A waiter with its handler, in memory of the handler's allocator. `Base` is a `waiter` with
/// `take_result()`, a tuple of what the handler is called with; `settle()`, called just before; and `dropped()`, called
/// instead of both when the handler is destroyed without being called.
template <class Base, class Handler>
class wait_op final : public Base {
  using work = expecting_executor<asio::associated_executor_t<Handler, asio::any_io_executor>>;
  using handler_allocator = asio::associated_allocator_t<Handler, asio::recycling_allocator<void>>;
  using allocator = typename std::allocator_traits<handler_allocator>::template rebind_alloc<wait_op>;
  using traits = std::allocator_traits<allocator>;

 public:
  ~wait_op() = default;

  /// Makes a waiter whose cancellation goes to `owner`. It is in no queue yet.
  template <class... Args>
  static wait_op* create(Handler&& handler, const asio::any_io_executor& ex, std::shared_ptr<wait_owner> owner,
                         Args&&... args) {
    // Before the handler is moved: of one that is destroyed the memory could not be given back to its allocator.
    work place(asio::get_associated_executor(handler, ex), ex);
    allocator alloc(asio::get_associated_allocator(handler, asio::recycling_allocator<void>()));
    memory m{alloc, traits::allocate(alloc, 1)};
    auto* op =
        ::new (static_cast<void*>(m.place)) wait_op(std::move(handler), std::move(place), std::forward<Args>(args)...);
    m.place = nullptr;
    try {
      // Before it is queued: once queued it may complete on another thread.
      auto slot = asio::get_associated_cancellation_slot(op->handler_);
      if (slot.is_connected()) {
        op->link_.reset(new wait_link(std::move(owner), *op));
        slot.assign(cancel_wait{op->link_});
      }
    } catch (...) {
      op->destroy();
      throw;
    }
    return op;
  }

  void complete() override {
    bool dropped = false;
    {
      const handing_over now(*this);
      try {
        if constexpr (work::can_post) {
          asio::post(work_.entry(), completion(this));
        } else {
          asio::post(work_.entry(), arrival(this));
        }
      } catch (...) {
        // A strand that could not schedule itself has it all the same (`strand_executor_service::do_execute`).
        if (now.result() == handing_over::outcome::taken) return;
        throw;
      }
      // A strand whose context is going away destroys the completion at once, without throwing. If it did not, this may
      // be gone by now.
      dropped = now.result() == handing_over::outcome::dropped;
    }
    if (dropped) destroy();
  }

  void complete_at_once() override {
    if constexpr (work::can_post) {
      completion now(this);
#if BOOST_ASIO_VERSION >= 102700
      const auto ex = asio::get_associated_immediate_executor(handler_, work_.get_executor());
      asio::dispatch(ex, std::move(now));
#else
      asio::post(work_.entry(), std::move(now));
#endif
    } else {
      asio::post(work_.entry(), arrival(this));
    }
  }

  void destroy() noexcept override {
    [[maybe_unused]] const auto owner = end_cancellation();
    this->dropped();
    allocator alloc(asio::get_associated_allocator(handler_, asio::recycling_allocator<void>()));
    // The handler may own whatever holds the queue; it goes last, from the stack.
    [[maybe_unused]] Handler handler(std::move(handler_));
    free(alloc);
  }

  bool belongs_to(const asio::execution_context& context) const noexcept override {
    if constexpr (work::can_post) {
      return context_of(work_.entry()) == &context;
    } else {
      // It does not say.
      return false;
    }
  }

  void complete_elsewhere() override {
    if constexpr (work::can_post) {
      complete();
    } else {
      go_on();
    }
  }

 private:
  struct memory {
    allocator alloc;
    wait_op* place;
    ~memory() {
      if (place) traits::deallocate(alloc, place, 1);
    }
  };

  /// What an executor is handed for it.
  class handed {
   public:
    using allocator_type = handler_allocator;

    explicit handed(wait_op* op)
        : op_(op), alloc_(asio::get_associated_allocator(op->handler_, asio::recycling_allocator<void>())) {}
    handed(handed&& other) noexcept : op_(std::exchange(other.op_, nullptr)), alloc_(other.alloc_) {}
    handed& operator=(handed&&) = delete;
    ~handed() {
      if (op_ && !handing_over::ends(*op_, handing_over::outcome::dropped)) op_->destroy();
    }

    allocator_type get_allocator() const noexcept { return alloc_; }

   protected:
    wait_op* release() noexcept { return std::exchange(op_, nullptr); }

   private:
    wait_op* op_;
    allocator_type alloc_;
  };

  /// Runs on the handler's executor.
  class completion : public handed {
   public:
    using handed::handed;

    void operator()() {
      wait_op* const op = this->release();
      handing_over::ends(*op, handing_over::outcome::begun);
      op->end_cancellation();
      op->settle();
      op->run();
    }
  };

  /// Runs at the entry, and goes on to the handler's executor.
  class arrival : public handed {
   public:
    using handed::handed;

    void operator()() { this->release()->go_on(); }
  };

  void go_on() {
    work_.leave_entry();
    for (;;) {
      bool dropped = false;
      {
        const handing_over now(*this);
        try {
          asio::dispatch(work_.get_executor(), completion(this));
        } catch (const std::bad_alloc&) {
          if (now.result() == handing_over::outcome::taken) return;
          // Of the handler itself, or there is nobody else who could try again.
          if (now.result() == handing_over::outcome::begun) throw;
          wait_for_memory();
          continue;
        } catch (...) {
          // It refuses for good.
          if (now.result() == handing_over::outcome::dropped) destroy();
          throw;
        }
        dropped = now.result() == handing_over::outcome::dropped;
      }
      if (dropped) destroy();
      return;
    }
  }

  template <class... Args>
  explicit wait_op(Handler&& handler, work&& place, Args&&... args)
      : Base(std::forward<Args>(args)...), handler_(std::move(handler)), work_(std::move(place)) {}

  std::shared_ptr<wait_owner> end_cancellation() noexcept {
    return link_ ? link_->cut() : std::shared_ptr<wait_owner>();
  }

  void run() {
    allocator alloc(asio::get_associated_allocator(handler_, asio::recycling_allocator<void>()));
    Handler handler(std::move(handler_));
    const auto until_it_has_run = std::move(work_);
    auto results = this->take_result();
    // Memory goes back before the handler runs, so that the handler's next operation can have it.
    free(alloc);
    std::apply([&handler](auto&&... args) { std::move(handler)(std::forward<decltype(args)>(args)...); },
               std::move(results));
  }

  void free(allocator& alloc) noexcept {
    traits::destroy(alloc, this);
    traits::deallocate(alloc, this, 1);
  }

  Handler handler_;
  work work_;
  /// Null if the handler's slot was not connected.
  boost::intrusive_ptr<wait_link> link_;
};

}  // namespace cocp::detail
