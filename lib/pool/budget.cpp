// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "pool/budget.hpp"

namespace cocp::detail {

bool budget::ask(entry& e, bool has_place_already, need n, time_point now) noexcept {
  // Who stands in a line has his turn there, and in the other if it is that which he comes to wait for.
  if (e.line_ == line::none) {
    e.came_ = now;
    e.turn_ = ++turns_;
  }
  leave(e);
  e.need_ = n;
  if (!has_place_already && !has_turn(e, line::places, has_place())) return false;
  if (!has_turn(e, line::dials, has_dial())) return false;
  ++dials_;
  ++e.dials_;
  if (!has_place_already) {
    ++places_;
    ++e.places_;
    note_holding(e);
  }
  return true;
}

bool budget::has_turn(entry& e, line l, bool is_free) noexcept {
  const waiting& others = members(l);
  if (is_free && (others.empty() || earlier()(e, *others.begin()))) return true;
  enter(e, l);
  return false;
}

void budget::waits(entry& e, need n) noexcept {
  const line l = e.line_;
  if (l == line::none) return;
  leave(e);
  e.need_ = n;
  enter(e, l);
}

void budget::settle(entry& e) noexcept { leave(e); }

void budget::dialling(entry& e, std::size_t n) noexcept {
  dials_ = dials_ - e.dials_ + n;
  e.dials_ = n;
}

void budget::give_up(entry& e, bool left) noexcept {
  // Without a place it has another turn.
  const line l = e.line_;
  leave(e);
  --places_;
  --e.places_;
  if (left) {
    --leaving_;
    --e.leaving_;
  }
  if (l != line::none) enter(e, l);
  note_holding(e);
}

void budget::remove(entry& e) noexcept {
  leave(e);
  dialling(e, 0);
  places_ -= e.places_;
  leaving_ -= e.leaving_;
  e.places_ = e.leaving_ = 0;
  note_holding(e);
}

budget::entry* budget::next() noexcept {
  if (has_place() && !for_place_.empty()) return &*for_place_.begin();
  if (has_dial() && !for_dial_.empty()) return &*for_dial_.begin();
  return nullptr;
}

void budget::asked(entry& e) noexcept {
  if (e.holder_hook::is_linked()) holding_.erase(holding_.iterator_to(e));
  e.asked_ = ++asks_;
  note_holding(e);
}

budget::entry* budget::next_to_make_room() noexcept {
  return lacks_room() && !holding_.empty() ? &*holding_.begin() : nullptr;
}

void budget::leaves(entry& e) noexcept {
  ++leaving_;
  ++e.leaving_;
}

void budget::press(entry& e) noexcept {
  e.pressed_ = true;
  note_holding(e);
}

bool budget::claims(entry& e) noexcept {
  if (lacks_room()) {
    leaves(e);
    return true;
  }
  e.pressed_ = false;
  note_holding(e);
  return false;
}

bool budget::lacks_room() const noexcept {
  // Not for those who come to dial in it later: a dial is soon over.
  return places_ >= max_connections_ && wanted_ > leaving_;
}

void budget::enter(entry& e, line l) noexcept {
  e.line_ = l;
  members(l).insert(e);
  if (l == line::places) wanted_ += e.need_.places;
}

void budget::leave(entry& e) noexcept {
  if (e.line_ == line::none) return;
  if (e.line_ == line::places) wanted_ -= e.need_.places;
  waiting& in = members(e.line_);
  in.erase(in.iterator_to(e));
  e.line_ = line::none;
}

void budget::note_holding(entry& e) noexcept {
  // Where all may have a place nobody makes room.
  const bool belongs = e.places_ != 0 && !e.pressed_ && max_connections_ != static_cast<std::size_t>(-1);
  if (belongs == e.holder_hook::is_linked()) return;
  if (belongs) {
    holding_.insert(e);
  } else {
    holding_.erase(holding_.iterator_to(e));
  }
}

}  // namespace cocp::detail
