import js from '@eslint/js'
import globals from 'globals'

const rules = {
  ...js.configs.recommended.rules,
  'consistent-return': 'off',
  curly: ['error', 'multi-line'],
  eqeqeq: ['error', 'always', { null: 'ignore' }],
  'max-len': ['error', {
    code: 120, ignoreUrls: true, ignoreStrings: true, ignoreTemplateLiterals: true, ignoreComments: true
  }],
  'no-eval': 'error',
  'no-implied-eval': 'error',
  'no-shadow': 'error',
  'no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
  'no-var': 'error',
  'object-shorthand': 'error',
  'prefer-const': 'error',
  semi: ['error', 'never'],
  // What peers and viewers wrote reaches a page as text only.
  'no-restricted-properties': ['error', ...['innerHTML', 'outerHTML', 'insertAdjacentHTML'].map(property => (
    { property, message: 'use textContent and DOM methods' }
  ))]
}

export default [
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['peertube-plugin/server/**/*.js'],
    languageOptions: { sourceType: 'commonjs', globals: globals.node },
    rules: { ...rules, strict: ['error', 'global'] }
  },
  {
    files: ['peertube-plugin/client/**/*.js', 'daemon/admin_page/**/*.js'],
    languageOptions: { sourceType: 'module', globals: globals.browser },
    rules
  },
  {
    files: ['tests/plugin/**/*.js'],
    languageOptions: { sourceType: 'module', globals: globals.node },
    rules: { ...rules, 'no-shadow': 'off' }
  },
  {
    files: ['tests/plugin/browser/**/*.js'],
    languageOptions: { sourceType: 'module', globals: { ...globals.node, ...globals.browser } },
    rules: { ...rules, 'no-shadow': 'off' }
  }
]
