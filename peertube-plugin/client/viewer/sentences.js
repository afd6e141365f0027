export const SENTENCES = {
  intro: 'This instance can learn from what its viewers like and watch, so that the videos suggested beside a video fit better. Each suggestion says why it is there.',
  loggedOut: 'Log in to see and change your part in suggestions.',

  choice: 'Your choice',
  optIn: 'On this instance nobody takes part unless they opt in here.',
  optOut: 'On this instance viewers take part unless they opt out here.',
  history: 'Whoever has the watch history switched off in PeerTube takes no part either way.',
  historyOff: 'Your watch history is switched off in PeerTube, so you take no part, whatever is chosen here.',
  historySettings: 'Change it in your settings',
  training: 'Take part in training',
  trainingText: 'Your likes and what you watch of public videos are counted together with those of other viewers.',
  personal: 'Personal suggestions',
  personalText: 'Suggestions for you also follow what you liked and watched, not only the video you are looking at.',
  saved: 'Saved.',

  together: 'Learning together',
  participantOne: '{count} viewer of this instance takes part.',
  participantOther: '{count} viewers of this instance take part.',
  tooFew: 'Too few viewers take part yet: nothing is learned from them, because a small number could point at single persons. Until more join, suggestions follow what the videos are about.',
  receivers: 'These instances receive sums in which the viewers who take part are counted. They learn how many people engaged with a video, never who:',
  noReceivers: 'No other instance receives anything: your instance learns on its own.',
  noReceiversYet: 'Your instance may send sums to others, but there is no such instance now.',
  consumes: 'Your instance learns from sums of others and sends them nothing.',

  known: 'What is known about you',
  knownText: 'This is everything about you that suggestions are made from. Your name is not stored with it.',
  showKnown: 'Show it',
  nothingKnown: 'Nothing is known about you.',
  knownOne: '{count} video',
  knownOther: '{count} videos',
  liked: 'liked',
  disliked: 'disliked',
  watched: 'watched {part}',
  more: 'Show more',

  hidden: 'Hidden from your suggestions',
  hiddenText: 'Hide a video or a channel with “Hide” under any suggestion.',
  nothingHidden: 'You have hidden nothing.',
  hiddenVideo: 'Video',
  hiddenChannel: 'Channel',
  showAgain: 'Show again',
  showAgainNamed: 'Show again: {name}',
  shownAgain: 'Back in your suggestions.',

  channels: 'Your channels',
  channelsText: 'Videos of a channel that you take out are not suggested beside other videos of this instance.',
  takeOut: 'Leave {name} out of suggestions',

  withdraw: 'Withdraw and erase',
  withdrawText: 'You no longer take part, you get no personal suggestions, and what is known about you is erased. Your likes and watch history in PeerTube stay as they are.',
  withdrawNow: 'Withdraw and erase…',
  withdrawTitle: 'Withdraw and erase?',
  withdrawYes: 'Erase',
  cancel: 'Cancel',
  withdrawn: 'You no longer take part, and what was known about you has been erased.'
}

/** @typedef {import('../lib/page.js').Page<keyof typeof SENTENCES>} ViewerPage */
