//! Pictures of screens that are small enough to be kept with the documents: 256 colours are plenty for a page.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use png::{BitDepth, ColorType, Compression, Decoder, Encoder, Transformations};

type Color = [u8; 3];

/// The same picture with the 256 colours that are there most often, each other one replaced by the nearest of them.
pub fn quantised(picture: &[u8]) -> Result<Vec<u8>> {
    let (width, height, pixels) = decoded(picture)?;
    let mut counts: HashMap<Color, usize> = HashMap::new();
    for pixel in &pixels {
        *counts.entry(*pixel).or_default() += 1;
    }
    let mut colors: Vec<(Color, usize)> = counts.into_iter().collect();
    // The colour itself decides between those that are as frequent, so that the outcome is always the same.
    colors.sort_by_key(|(color, count)| (usize::MAX - count, *color));
    let palette: Vec<Color> = colors.iter().take(256).map(|(color, _)| *color).collect();
    let places: HashMap<Color, u8> = colors
        .iter()
        .map(|(color, _)| (*color, nearest(&palette, *color)))
        .collect();
    let indices: Vec<u8> = pixels.iter().map(|pixel| places[pixel]).collect();

    let mut encoded = Vec::new();
    let mut encoder = Encoder::new(&mut encoded, width, height);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(palette.concat());
    encoder.set_compression(Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&indices)?;
    writer.finish()?;
    Ok(encoded)
}

fn decoded(picture: &[u8]) -> Result<(u32, u32, Vec<Color>)> {
    let mut decoder = Decoder::new(std::io::Cursor::new(picture));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let size = reader.output_buffer_size().context("too large a picture")?;
    let mut bytes = vec![0; size];
    let info = reader.next_frame(&mut bytes)?;
    let samples = info.color_type.samples();
    ensure!(samples >= 3, "a picture without colours");
    let pixels = bytes[..info.buffer_size()].chunks_exact(samples);
    let pixels = pixels.map(|pixel| [pixel[0], pixel[1], pixel[2]]);
    Ok((info.width, info.height, pixels.collect()))
}

fn nearest(palette: &[Color], color: Color) -> u8 {
    let distance = |other: &Color| -> u32 {
        let parts = other.iter().zip(color);
        parts
            .map(|(one, other)| u32::from(one.abs_diff(other)).pow(2))
            .sum()
    };
    let places = palette.iter().enumerate();
    let place = places.min_by_key(|(_, other)| distance(other));
    place.map_or(0, |(place, _)| u8::try_from(place).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(pixels: &[Color]) -> Vec<u8> {
        let mut encoded = Vec::new();
        let mut encoder = Encoder::new(&mut encoded, pixels.len() as u32, 1);
        encoder.set_color(ColorType::Rgb);
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&pixels.concat()).expect("pixels");
        writer.finish().expect("an end");
        encoded
    }

    #[test]
    fn a_picture_of_few_colours_stays_as_it_is() {
        let pixels = [[255, 255, 255], [12, 34, 56], [255, 255, 255], [0, 0, 0]];
        let small = quantised(&picture(&pixels)).expect("a picture");
        assert_eq!(decoded(&small).expect("a picture").2, pixels);
    }

    #[test]
    fn a_rare_colour_gives_way_to_the_nearest_of_the_frequent_ones() {
        let frequent = (0..=255).flat_map(|grey| [[grey; 3]; 2]);
        let pixels: Vec<Color> = frequent.chain([[100, 101, 100]]).collect();
        let small = quantised(&picture(&pixels)).expect("a picture");
        assert_eq!(
            decoded(&small).expect("a picture").2.last(),
            Some(&[100; 3])
        );
    }
}
