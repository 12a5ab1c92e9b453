// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/impl/session.hpp>
#include <cocp/impl/stream.hpp>

#include <utility>

namespace cocp::detail {

/// What users keep with the streams of a channel (`connection::session`): which of it they see, and what of it is to be
/// destroyed.
///
/// It is a part of its stream while that is in a channel, and goes on with it from one channel to the next. When the
/// stream is taken away to be closed it comes here: its user may still have references to it, and it is never
/// destroyed where a stream is, which may be any thread. When there is no such user any more it is among the remains,
/// which the channel's supervisor destroys.
///
/// Of a channel, and guarded by its mutex. It destroys nothing itself.
class session_keep {
 public:
  /// What the user sees. `s`: the stream that is there, or null.
  session_list& seen(stream* s) noexcept {
    if (!s) behind_ = true;
    return behind_ ? former_ : s->sessions();
  }
  /// A stream is taken away, to be closed; `in_use`: somebody may have seen what is kept with it.
  void stream_goes(session_list& of_it, bool in_use) noexcept {
    // One who has not gone on since an earlier stream has not seen that of this one.
    (in_use && !behind_ ? former_ : remains_).append(of_it);
    behind_ = behind_ || in_use;
  }
  /// The same of one that had parted from the user before; he may have begun anew meanwhile.
  void leave(session_list& of_it, bool in_use) noexcept { (in_use ? former_ : remains_).append(of_it); }
  /// The user goes on with the stream that is there, or there is none any more.
  void go_on() noexcept {
    behind_ = false;
    remains_.append(former_);
  }
  bool has_remains() const noexcept { return !remains_.empty(); }
  session_list take_remains() noexcept { return std::exchange(remains_, {}); }

 private:
  /// The stream that the user knows is gone, and he has not gone on with another.
  bool behind_ = false;
  /// Of that stream.
  session_list former_;
  session_list remains_;
};

}  // namespace cocp::detail
