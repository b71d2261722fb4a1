module.exports = { globalSetup: './worlds.js' };
