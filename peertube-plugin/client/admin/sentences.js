export const SENTENCES = {
  title: 'Suggestions (Shoal)',
  adminsOnly: 'This page is for administrators of this instance.',

  state: 'Does it work?',
  allWell: 'Everything works.',
  problemOne: '{count} thing needs attention.',
  problemOther: '{count} things need attention.',
  works: 'works',
  attention: 'needs attention',
  checkAgain: 'Check again',

  list: 'Related videos',
  related: 'Fill “Other videos” on the watch page',
  relatedText: 'When this is off, PeerTube shows its own list and nothing is asked of the daemon.',
  settings: 'All settings of the plugin',
  saved: 'Saved.',

  exclusions: 'Never suggest',
  exclusionsText: 'What is listed here is left out of suggestions and of training. One entry per line.',
  channels: 'Channels',
  channelsText: 'Address of a channel or its name and host, for example https://video.example/video-channels/news or news@video.example',
  hosts: 'Instances',
  hostsText: 'Host name, for example video.example',
  videos: 'Videos',
  videosText: 'Address of a video, for example https://video.example/w/abc',
  save: 'Save',
  badLine: 'Line {line} is not understood: {text}',
  notSaved: 'Nothing was saved. Correct the marked lists, then save again.',

  erase: 'Erase everything',
  eraseText: 'Removes everything that the plugin stored: choices of viewers, what they have hidden, exclusions, keys. Do this before uninstalling, because uninstalling leaves it in the database. The daemon then loses its data at its next check.',
  eraseNow: 'Erase everything…',
  eraseTitle: 'Erase everything?',
  eraseYes: 'Erase everything',
  cancel: 'Cancel',
  erased: 'Everything that the plugin stored has been erased. You can uninstall it now.'
}

/** @typedef {import('../lib/page.js').Page<keyof typeof SENTENCES>} AdminPage */
